"""Measures as pure functions of arrays, and ``METRICS``, which says what each one is.

Logits or probabilities are ``[N, C]`` (the argument's name says which), labels ``[N]``;
everything is computed in float64 with the natural logarithm, and nothing is rounded.
"""

import math

from lotus_unlearning.metrics.accuracy import (
    accuracy,
    class_accuracies,
    class_shares,
    softmax,
)
from lotus_unlearning.metrics.as_published import (
    average_gap_as_published,
    jsd_as_published,
    rf_jsd_as_published,
)
from lotus_unlearning.metrics.attacks import (
    attack_auc,
    bootstrap_auc,
    bootstrap_auc_same_images,
    entropy_attack,
    roc_curve_points,
)
from lotus_unlearning.metrics.bands import (
    BandKind,
    GoldBand,
    MarginTails,
    OutsideBand,
    gold_band,
    margin_tails,
    outside_gold_band,
)
from lotus_unlearning.metrics.challenge import ForgettingQuality, forgetting_quality
from lotus_unlearning.metrics.closeness import Closes, closes
from lotus_unlearning.metrics.correlation import Correlation, correlation
from lotus_unlearning.metrics.divergence import (
    ClassDivergence,
    js_divergence,
    rf_js_divergence,
    zrf,
)
from lotus_unlearning.metrics.gaps import GAP_KEYS, average_gap, mean_and_interval
from lotus_unlearning.metrics.interval import Interval
from lotus_unlearning.metrics.ladder import LADDER, ROWS, Rung
from lotus_unlearning.metrics.metric import Direction, Metric, Need
from lotus_unlearning.metrics.power import golds_needed, smallest_effect
from lotus_unlearning.metrics.rates import (
    KSDistance,
    RateAt,
    ks_distance,
    tpr_at_fpr,
)
from lotus_unlearning.metrics.references import jsd_to_golds, jsd_to_other_golds, klom, rmia
from lotus_unlearning.metrics.remembered import Remembered, remembered
from lotus_unlearning.metrics.scores import (
    label_probability,
    margin,
    membership_scores,
    modified_entropy,
)
from lotus_unlearning.metrics.shadow import (
    ULira,
    Variance,
    lira_offline,
    lira_online,
    u_lira,
    variance_for,
)
from lotus_unlearning.metrics.thresholds import (
    BestThreshold,
    best_threshold,
    bootstrap_threshold,
)
from lotus_unlearning.metrics.uncertainty import (
    EntropyHistogram,
    confidence,
    cross_entropy,
    entropy,
    entropy_histogram,
)
from lotus_unlearning.metrics.verdict import Finding, Outcome, Scale, Verdict, verdict

__all__ = [
    "GAP_KEYS",
    "LADDER",
    "METRICS",
    "BandKind",
    "BestThreshold",
    "ClassDivergence",
    "Closes",
    "Correlation",
    "Direction",
    "EntropyHistogram",
    "Finding",
    "ForgettingQuality",
    "GoldBand",
    "Interval",
    "KSDistance",
    "MarginTails",
    "Metric",
    "Need",
    "Outcome",
    "OutsideBand",
    "RateAt",
    "Remembered",
    "Rung",
    "Scale",
    "ULira",
    "Variance",
    "Verdict",
    "accuracy",
    "attack_auc",
    "average_gap",
    "average_gap_as_published",
    "best_threshold",
    "bootstrap_auc",
    "bootstrap_auc_same_images",
    "bootstrap_threshold",
    "class_accuracies",
    "class_shares",
    "closes",
    "confidence",
    "correlation",
    "cross_entropy",
    "entropy",
    "entropy_attack",
    "entropy_histogram",
    "forgetting_quality",
    "gold_band",
    "golds_needed",
    "js_divergence",
    "jsd_as_published",
    "jsd_to_golds",
    "jsd_to_other_golds",
    "klom",
    "ks_distance",
    "label_probability",
    "lira_offline",
    "lira_online",
    "margin",
    "margin_tails",
    "mean_and_interval",
    "membership_scores",
    "modified_entropy",
    "outside_gold_band",
    "remembered",
    "rf_js_divergence",
    "rf_jsd_as_published",
    "rmia",
    "roc_curve_points",
    "smallest_effect",
    "softmax",
    "tpr_at_fpr",
    "u_lira",
    "variance_for",
    "verdict",
    "zrf",
]

_LOTUS = "Spartalis et al., LoTUS, CVPR 2025"
_AUC = "Hanley and McNeil, 1982"


def _accuracy(split: str, direction: Direction, *needs: Need) -> Metric:
    return Metric(
        name=f"{split}_accuracy",
        function=accuracy,
        direction=direction,
        lower=0.0,
        upper=1.0,
        unit="share",
        needs=needs,
        definition=f"Share of {split} images whose largest output is their label.",
        source="textbook",
    )


def _auc(score: str, meaning: str, source: str, *needs: Need) -> Metric:
    return Metric(
        name=f"auc_{score}",
        function=attack_auc,
        direction="near gold",
        lower=0.0,
        upper=1.0,
        unit="",
        needs=("unseen", *needs),
        definition=f"Chance that a forget image has a {meaning} than an unseen image; ties count "
        "half, and 0.5 means that they cannot be told apart.",
        source=f"{_AUC}; {source}",
    )


_ALL = (
    _accuracy("forget", "near gold"),
    _accuracy("retain", "up"),
    _accuracy("unseen", "up", "unseen"),
    _accuracy("test", "up", "test"),
    Metric(
        name="js_divergence",
        function=js_divergence,
        direction="down",
        lower=0.0,
        upper=math.log(2),
        unit="nats",
        needs=("gold",),
        definition="Mean over forget images of the Jensen-Shannon divergence between the "
        "predictions of unlearned and gold.",
        source="Lin, 1991",
    ),
    Metric(
        name="rf_js_divergence",
        function=rf_js_divergence,
        direction="down",
        lower=0.0,
        upper=math.log(2),
        unit="nats",
        needs=("original", "unseen"),
        definition="Mean over classes of the Jensen-Shannon divergence between the mean "
        "prediction of unlearned on forget and of the original on unseen images; not 0 for gold.",
        source=_LOTUS,
    ),
    Metric(
        name="average_gap",
        function=average_gap,
        direction="down",
        lower=0.0,
        upper=1.0,
        unit="share",
        needs=("gold", "unseen", "test"),
        definition="Mean distance from gold of the entropy attack and of the forget, retain and "
        "test accuracies.",
        source=f"Fan et al., SalUn, ICLR 2024; {_LOTUS}",
    ),
    Metric(
        name="entropy_attack",
        function=entropy_attack,
        direction="near gold",
        lower=0.0,
        upper=1.0,
        unit="share",
        needs=("unseen", "test"),
        definition="Share of forget images that a logistic regression on entropy, which tells "
        "retain from unseen and test images, takes for training images.",
        source=f"Chundawat et al., AAAI 2023; {_LOTUS}",
    ),
    _auc("entropy", "lower entropy", "Song and Mittal, USENIX Security 2021"),
    _auc("confidence", "higher confidence", "Salem et al., NDSS 2019"),
    _auc("loss", "lower loss", "Yeom et al., CSF 2018"),
    _auc("margin", "higher margin", "Carlini et al., S&P 2022"),
    _auc("modified_entropy", "lower modified entropy", "Song and Mittal, USENIX Security 2021"),
    _auc("gradient_norm", "smaller gradient", "Nasr et al., S&P 2019"),
    _auc("rmia", "higher RMIA score", "Zarifzadeh et al., ICML 2024", "golds"),
    _auc("lira", "higher offline LiRA score", "Carlini et al., S&P 2022", "golds"),
    Metric(
        name="zrf",
        function=zrf,
        direction="near gold",
        lower=1 - math.log(2),
        upper=1.0,
        unit="",
        needs=(),
        definition="One minus the mean Jensen-Shannon divergence between the predictions of "
        "unlearned and of a randomly initialised model on forget; for comparison only.",
        source="Chundawat et al., AAAI 2023",
    ),
    Metric(
        name="closes",
        function=closes,
        direction="up",
        lower=-math.inf,
        upper=math.inf,
        unit="share",
        needs=("original", "golds"),
        definition="Share of the distance from the original to retraining that was covered; 1 is "
        "as near as retrained models are to each other, below 0 is moved away.",
        source="this library",
    ),
    *ROWS,
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
