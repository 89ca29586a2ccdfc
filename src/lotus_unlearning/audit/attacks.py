"""Rows of attacks: of every score its area, its best threshold and rates at few false alarms."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lotus_unlearning import metrics
from lotus_unlearning.audit.pairs import Columns, Pair, Scored
from lotus_unlearning.audit.rows import Meaning, Row, known, of_scores
from lotus_unlearning.metrics import LADDER, RateAt, Rung

_BY = {
    "entropy": "entropy",
    "confidence": "confidence",
    "loss": "loss",
    "margin": "margin",
    "modified_entropy": "modified entropy",
    "gradient_norm": "gradient norm",
    "rmia": "RMIA",
    "lira": "LiRA",
    "lira_online": "LiRA online",
}
_RATES = {"tpr_at_1_percent": 0.01, "tpr_at_0_1_percent": 0.001}
_ONLINE = Rung(
    2, "golds, and shadow models, 2 or more on each side of every image", "gold's, near 0.5"
)
_MAIN = {"threshold": ("margin",), "rates": ("margin", "rmia", "lira", "lira_online")}
"""Scores whose threshold and whose rates are no details."""
_HELD_OUT = Meaning(
    direction="near gold",
    unit="share",
    lower=0.0,
    upper=1.0,
    definition="Mean of the shares of forget and of unseen images that a threshold puts on the "
    "right side, which was the best one for one half of the images, among the other half.",
    rung=Rung(0, "none; one gold to compare with", "gold's, near 0.5"),
)


def attacks(scores: Scored, names: Iterable[str], seed: int) -> Iterator[Row]:
    """AUC, held-out threshold and true positive rates, by some scores.

    Thresholds and rates of scores that the margin stands for are details: rows of the page and of
    its JSON that are not printed.
    """
    there = [name for name in names if name in scores.by]
    for name in there:
        yield _area(name, scores.by[name], seed)
    for name in there:
        if not dict(scores.by[name])["unlearned"].same_images:  # golds' answers to the same images
            yield _threshold(name, scores.by[name], seed)
    for name in there:
        yield from _rates(name, scores, seed)


def _area(name: str, columns: Columns, seed: int) -> Row:
    online = name == "lira_online"
    meaning = known("auc_lira" if online else f"auc_{name}")
    if online:
        meaning = replace(
            meaning,
            rung=_rung(name),
            definition="Chance that a forget image's margin is more like that of shadow models "
            "that were trained on the image, by their likelihood ratio, than the margin of a gold "
            "on one of these images.",
        )
    label = f"AUC by {_BY[name]}{', against golds' if online else ''}"
    row = of_scores(
        f"auc_{name}", label, columns, Pair.auc, lambda pair: pair.auc_interval(seed), meaning
    )
    row.note = _sampled(name, columns)
    return row


def _rung(name: str) -> Rung:
    """What a score costs."""
    return _ONLINE if name == "lira_online" else LADDER[f"auc_{name}"]


def _as_dear(meaning: Meaning, name: str) -> Meaning:
    """A meaning on the rung of a score, of which a perfect result is its own."""
    rung = replace(_rung(name), perfect=meaning.rung.perfect)
    return replace(meaning, rung=rung)


def _sampled(name: str, columns: Columns) -> str:
    if name != "gradient_norm":  # one backward pass for each image
        return ""
    forget, unseen = dict(columns)["unlearned"].sides
    return f"Of {len(forget):,} forget and {len(unseen):,} unseen images."


def _threshold(name: str, columns: Columns, seed: int) -> Row:
    few = min(map(len, dict(columns)["unlearned"].sides)) < 2  # no halves, no interval
    row = of_scores(
        "held_out_threshold" if name == "margin" else f"held_out_threshold_{name}",
        f"Held-out threshold, by {_BY[name]}",
        columns,
        lambda pair: metrics.best_threshold(*pair.sides, seed=seed).held_out,
        lambda pair: None if few else pair.threshold_interval(seed),
        _as_dear(_HELD_OUT, name),
    )
    row.note = _sampled(name, columns)
    row.detail = name not in _MAIN["threshold"]
    return row


def _rates(name: str, scores: Scored, seed: int) -> Iterator[Row]:
    for measure, fpr in _RATES.items():
        columns, wider = scores.by[name], False
        rate = _rate(columns, fpr, seed)
        if rate.reason and name in scores.wider:
            columns, wider = scores.wider[name], True
            rate = _rate(columns, fpr, seed)
        row = _rate_row(name, measure, columns, rate, fpr, wider)
        row.detail = name not in _MAIN["rates"]
        yield row


def _rate(columns: Columns, fpr: float, seed: int) -> RateAt:
    return metrics.tpr_at_fpr(*dict(columns)["unlearned"].sides, fpr=fpr, seed=seed)


def _rate_row(
    name: str, measure: str, columns: Columns, rate: RateAt, fpr: float, wider: bool
) -> Row:
    online = name == "lira_online"
    meaning = known(measure)
    if online:
        meaning = replace(
            meaning,
            rung=replace(_ONLINE, perfect="gold's, near the rate of false alarms"),
            definition=f"Share of forget images that LiRA (online) takes for trained on where it "
            f"takes {100 * fpr:g}% of the golds' answers to these images for that.",
        )
    else:
        meaning = _as_dear(meaning, name)
    label = f"Found at {100 * fpr:g} % false alarms, by {_BY[name]}"
    row = Row(measure=measure if name == "margin" else f"{measure}_{name}", label=label,
              meaning=meaning, values={"unlearned": None})  # fmt: skip
    if rate.reason:
        row.note = f"Not measurable: {rate.reason}."
        return row
    row = of_scores(
        row.measure,
        label,
        columns,
        lambda pair: metrics.tpr_at_fpr(*pair.sides, fpr=fpr, repeats=1).tpr.value,
        lambda pair: rate.tpr,
        meaning,
    )
    row.note = f"{_sampled(name, columns)} {_note(rate, online, wider)}".strip()
    return row


def _note(rate: RateAt, online: bool, wider: bool) -> str:
    if online:
        return (
            "The interval is Clopper and Pearson's, with the threshold as it is. False alarms are "
            "golds' answers to the same images."
        )
    among = "Of unseen and test images: unseen ones alone are too few. " if wider else ""
    return (
        f"{among}The interval is Clopper and Pearson's; with the threshold drawn anew, by "
        f"bootstrap, it is {rate.bootstrap.low:.3f} to {rate.bootstrap.high:.3f}. Exchangeable "
        f"images would give {rate.chance:.3f}, and this much or more with chance "
        f"{rate.p_value:.2g}."
    )
