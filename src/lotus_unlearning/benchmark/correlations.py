"""Table 7: does RF-JSD, which needs no gold model, order methods as JSD does?"""

from collections.abc import Sequence
from typing import Literal

from lotus_unlearning import metrics
from lotus_unlearning.benchmark.grid import Grid
from lotus_unlearning.benchmark.layout import NOTHING, Entry, Table, scenario_name
from lotus_unlearning.benchmark.published import published
from lotus_unlearning.benchmark.summary import Line, Part, estimate


def correlations(grid: Grid, parts: Sequence[Part]) -> Table:
    """Does RF-JSD, which needs no gold model, order methods as JSD does? (Table 7)."""
    heads = [
        "Data", "Model", "Settings", "Methods", "Pearson", "p (Pearson)", "Leaving one out",
        "Pearson with gold", "Spearman", "p (Spearman)", "Rank of gold's RF-JSD", "printed r",
    ]  # fmt: skip
    rows = []
    for part in parts:
        for settings in grid.settings:
            lines = [ln for ln in part.lines if ln.is_method and settings in ln.settings]
            gold = next((line for line in part.lines if line.name == "gold"), None)
            if gold is not None and _pairs([gold]) and len(pairs := _pairs(lines)) >= 4:
                rows.append(_correlation(part, settings, pairs, gold))
    notes = [
        "Over methods: mean RF-JSD against mean JSD to gold over seeds, with the 95% interval, "
        "which takes methods for independent and values for normal. Leaving one out: least and "
        "most of Pearson's r without any one method; where they are far apart, one method makes "
        "the r.",
        "Rank of gold's RF-JSD among all methods and gold: a measure that retraining does not "
        "win rewards something other than being like retraining.",
    ]
    return Table("all", grid.title, heads, rows, notes)


def _pairs(lines: Sequence[Line]) -> list[tuple[float, float]]:
    measures = ("rf_js_divergence", "js_divergence")
    known = [line for line in lines if all(measure in line.values for measure in measures)]
    found = [[estimate(line.values[m]).value for m in measures] for line in known]
    return [(rf, js) for rf, js in found]


def _correlation(
    part: Part, settings: str, pairs: Sequence[tuple[float, float]], gold: Line
) -> list[Entry]:
    x, y = zip(*pairs, strict=True)
    (reference,) = _pairs([gold])
    pearson, spearman = _correlated(x, y), _correlated(x, y, "spearman")
    with_gold = _correlated([*x, reference[0]], [*y, reference[1]])
    without = [_correlated(x[:i] + x[i + 1 :], y[:i] + y[i + 1 :]) for i in range(len(x))]
    values = [found.value for found in without if found is not None]
    rank_of_gold = 1 + sum(value < reference[0] for value in x)
    place = part.section.block.published or ("", "")
    key = ("7", *place, scenario_name(part.section), "all", "rf_jsd~jsd pearson")
    printed = published().get(key)
    texts = [
        f"{part.section.name}, {part.section.scenario.fraction:.0%}",
        part.section.block.setup.model,
        settings,
        str(len(pairs)),
        *_with_interval(pearson),
        f"{min(values):.2f} to {max(values):.2f}" if values else NOTHING,
        _with_interval(with_gold)[0],
        *_with_interval(spearman),
        f"{rank_of_gold} of {len(pairs) + 1}",
        str(printed or NOTHING),
    ]
    return [Entry(text) for text in texts]


def _correlated(
    x: Sequence[float], y: Sequence[float], kind: Literal["pearson", "spearman"] = "pearson"
) -> metrics.Correlation | None:
    """``None`` where all values of one side are equal."""
    return metrics.correlation(x, y, kind) if min(len(set(x)), len(set(y))) > 1 else None


def _with_interval(found: metrics.Correlation | None) -> tuple[str, str]:
    """The correlation, and its p-value."""
    if found is None:
        return NOTHING, NOTHING
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]", f"{found.p_value:.2g}"
