"""Table 7: does RF-JSD, which needs no gold model, order methods as JSD does?"""

import math
from collections.abc import Sequence
from typing import Literal

from lotus_unlearning import metrics
from lotus_unlearning.benchmark.grid import Grid, Section
from lotus_unlearning.benchmark.layout import NOTHING, Entry, Table, scenario_name, scenario_words
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
    return Table("all", grid.title, heads, rows, notes, names=3)


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
    rank_of_gold = 1 + sum(value < reference[0] for value in x)
    return [
        Entry(f"{part.section.name}, {scenario_words(part.section)}"),
        Entry(part.section.block.setup.model),
        Entry(settings),
        _number(str(len(pairs)), len(pairs)),
        *_with_interval(pearson),
        _leaving_one_out(x, y),
        _with_interval(with_gold)[0],
        *_with_interval(spearman),
        _number(f"{rank_of_gold} of {len(pairs) + 1}", rank_of_gold),
        _printed(part.section, settings),
    ]


def _number(text: str, value: float, low: float = math.nan, high: float = math.nan) -> Entry:
    return Entry(text, estimate=metrics.Interval(value, low, high))


def _leaving_one_out(x: Sequence[float], y: Sequence[float]) -> Entry:
    """Least and most of Pearson's r without one of the methods; there is no value between them."""
    without = [_correlated([*x[:i], *x[i + 1 :]], [*y[:i], *y[i + 1 :]]) for i in range(len(x))]
    values = [found.value for found in without if found is not None]
    if not values:
        return Entry(NOTHING)
    low, high = min(values), max(values)
    return _number(f"{low:.2f} to {high:.2f}", math.nan, low, high)


def _printed(section: Section, settings: str) -> Entry:
    """Pearson's r in the paper, which stands beside the paper's settings alone."""
    table, place = section.grid.published, section.block.published
    if settings != "paper" or table is None or place is None:
        return Entry(NOTHING)
    key = (table, *place, scenario_name(section), "all", "rf_jsd~jsd pearson")
    found = published().get(key)
    return Entry(NOTHING) if found is None else _number(str(found), found.mean)


def _correlated(
    x: Sequence[float], y: Sequence[float], kind: Literal["pearson", "spearman"] = "pearson"
) -> metrics.Correlation | None:
    """``None`` where all values of one side are equal."""
    return metrics.correlation(x, y, kind) if min(len(set(x)), len(set(y))) > 1 else None


def in_words(found: metrics.Correlation) -> str:
    """The value, with its interval where there is one."""
    known = not math.isnan(found.low)
    return f"{found.value:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if known else "")


def _with_interval(found: metrics.Correlation | None) -> tuple[Entry, Entry]:
    """The correlation, and its p-value."""
    if found is None:
        return Entry(NOTHING), Entry(NOTHING)
    value = _number(in_words(found), found.value, found.low, found.high)
    return value, _number(f"{found.p_value:.2g}", found.p_value)
