"""The ladder of attacks: what each rung costs in extra models, and what a perfect result is.

A perfect result is never 0 by itself: it is what a gold model gets in the unlearned model's place.
"""

import math
from dataclasses import dataclass

from lotus_unlearning.metrics.bands import outside_gold_band
from lotus_unlearning.metrics.challenge import forgetting_quality
from lotus_unlearning.metrics.metric import Metric
from lotus_unlearning.metrics.rates import ks_distance, tpr_at_fpr
from lotus_unlearning.metrics.references import jsd_to_golds, klom
from lotus_unlearning.metrics.shadow import u_lira
from lotus_unlearning.metrics.thresholds import best_threshold


@dataclass(frozen=True)
class Rung:
    """Where a row of ``METRICS`` stands on the ladder.

    Attributes:
        level: 0 without extra models, 1 with a few golds, 2 with a bank.
        models: The extra models, in words.
        perfect: What exact unlearning gives, in words.
    """

    level: int
    models: str
    perfect: str


_NONE = "none; one gold to compare with"
_HALF = "gold's, near 0.5 where forget and unseen images are alike"
_FEW = "1 gold or more, and one more to compare with"

LADDER = {
    **{
        f"auc_{score}": Rung(0, _NONE, _HALF)
        for score in (
            "entropy", "confidence", "loss", "margin", "modified_entropy", "gradient_norm"
        )
    },
    "best_threshold": Rung(0, _NONE, "gold's, a little above 0.5 by the choice of threshold"),
    "tpr_at_1_percent": Rung(0, _NONE, "gold's, near (k + 1) / (M + 1)"),
    "tpr_at_0_1_percent": Rung(0, _NONE, "gold's, near (k + 1) / (M + 1)"),
    "entropy_distance": Rung(0, _NONE, "gold's, not 0: two finite samples differ"),
    "auc_rmia": Rung(1, _FEW, _HALF),
    "jsd_to_golds": Rung(1, "3 golds or more", "that of a gold to the other golds"),
    "outside_gold_band": Rung(
        1, "3 golds or more; 39 for the rank band", "that of a gold in the band of the others"
    ),
    "auc_lira": Rung(2, "2 golds or more, better 16; online, shadows too", _HALF),
    "klom": Rung(
        2, "several unlearned models and golds, 100 in the source", "that of two sets of golds"
    ),
    "u_lira": Rung(2, "3 unlearned models and 3 golds or more, better 64", "0.5"),
    "forgetting_quality": Rung(
        2, "unlearned models and golds, 512 in the source", "that of two sets of golds, about 0.2"
    ),
}  # fmt: skip

_SEVERAL = "needs several unlearned models."


def _rate(name: str, percent: str) -> Metric:
    return Metric(
        name=name,
        function=tpr_at_fpr,
        direction="near gold",
        lower=0.0,
        upper=1.0,
        unit="share",
        needs=("unseen",),
        definition=f"Share of forget images that an attack finds which accuses {percent}% of the "
        "unseen images.",
        source="Carlini et al., S&P 2022",
    )


ROWS = (
    Metric(
        name="best_threshold",
        function=best_threshold,
        direction="near gold",
        lower=0.5,
        upper=1.0,
        unit="share",
        needs=("unseen",),
        definition="Mean of the shares of forget and of unseen images that the best single "
        "threshold of a score puts on the right side.",
        source="Song and Mittal, USENIX Security 2021",
    ),
    _rate("tpr_at_1_percent", "1"),
    _rate("tpr_at_0_1_percent", "0.1"),
    Metric(
        name="entropy_distance",
        function=ks_distance,
        direction="near gold",
        lower=0.0,
        upper=1.0,
        unit="",
        needs=("unseen",),
        definition="Kolmogorov-Smirnov distance between the entropies of forget and of unseen "
        "images.",
        source="Smirnov, 1939; Golatkar et al., CVPR 2020",
    ),
    Metric(
        name="jsd_to_golds",
        function=jsd_to_golds,
        direction="near gold",
        lower=0.0,
        upper=math.log(2),
        unit="nats",
        needs=("golds",),
        definition="Mean over forget images of the Jensen-Shannon divergence between the "
        "predictions of unlearned and the mean prediction of the golds.",
        source="Lin, 1991",
    ),
    Metric(
        name="outside_gold_band",
        function=outside_gold_band,
        direction="near gold",
        lower=0.0,
        upper=1.0,
        unit="share",
        needs=("golds",),
        definition="Share of forget images whose margin lies outside the band in which one more "
        "gold is expected.",
        source="this library; Hahn and Meeker, 1991",
    ),
    Metric(
        name="klom",
        function=klom,
        direction="near gold",
        lower=0.0,
        upper=math.inf,
        unit="nats",
        needs=("golds",),
        definition="Mean over forget images of the KL divergence between the margins of unlearned "
        f"models and of golds; {_SEVERAL}",
        source="Georgiev et al., Attribute-to-Delete, 2024",
    ),
    Metric(
        name="u_lira",
        function=u_lira,
        direction="near gold",
        lower=0.0,
        upper=1.0,
        unit="share",
        needs=("golds",),
        definition="Share of right guesses, image by image, whether a model forgot the image or "
        f"never saw it; {_SEVERAL}",
        source="Kurmanji et al., NeurIPS 2023; Hayes et al., 2024",
    ),
    Metric(
        name="forgetting_quality",
        function=forgetting_quality,
        direction="near gold",
        lower=0.0,
        upper=1.0,
        unit="",
        needs=("golds",),
        definition="Mean over forget images of 2^-floor(epsilon / 0.5), with epsilon from the best "
        f"attack that tells unlearned models from golds; {_SEVERAL}",
        source="Triantafillou et al., 2024",
    ),
)
