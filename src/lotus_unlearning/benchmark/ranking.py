"""What is best among lines of a table, and what cannot be told from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lotus_unlearning.benchmark.columns import COLUMNS, WITHOUT_TEST
from lotus_unlearning.benchmark.significance import paired_p_value
from lotus_unlearning.benchmark.summary import COSTS, Line, by_split, middle
from lotus_unlearning.metrics.holm import holm

SIGNIFICANCE = 0.05
TESTED_FROM = 5
"""With fewer choices of images a paired t-test rests on three differences or less: none is made."""
DISTANCES = ("closes", "js_divergence", "average_gap")
"""What forgetting is to mend: who is worse in these than the original is not as good as anybody."""


@dataclass(frozen=True)
class Ranking:
    """Which lines are best in a measure.

    Attributes:
        best: The line with the best mean, and those with the same.
        as_good: The lines that are not significantly worse, by paired t-tests over choices of
            images and Holm's correction, nor worse than the original.
        undecided: Lines that are not significantly worse, be they worse than the original or not.
        tests: The number of different results that were compared with the best: settings that come
            to the same are one.
    """

    best: frozenset[int]
    as_good: frozenset[int]
    undecided: frozenset[int] = frozenset()
    tests: int = 0


def rank(lines: Sequence[Line], measure: str) -> Ranking | None:
    """The best methods in ``measure``; ``None`` where no two of them can be compared.

    Where gold's value is the aim, the distance from it counts; more than all of the way to gold is
    not better than all of it. Methods that failed for some seeds, were not run for some, or were
    measured against other models of the same seeds, are not compared, nor are costs of different
    machines.
    """
    compared = {i: line for i, line in enumerate(lines) if line.is_method and not line.apart}
    if measure in COSTS and len(set[str]().union(*(ln.machines for ln in compared.values()))) > 1:
        return None
    badness = {i: v for i, line in compared.items() if (v := _badness(line, measure))}
    longest = max((len(values) for values in badness.values()), default=0)
    badness = {i: values for i, values in badness.items() if len(values) == longest}
    if len(badness) < 2:
        return None
    means = {i: float(np.mean(list(values.values()))) for i, values in badness.items()}
    least = min(means.values())
    best = frozenset(i for i, m in means.items() if m - least <= 1e-12 * max(1.0, abs(least)))
    if measure in WITHOUT_TEST or longest < TESTED_FROM:
        return Ranking(best, frozenset())
    first, groups = badness[min(best)], dict[tuple[float, ...], list[int]]()
    for i, values in badness.items():
        if i not in best:
            groups.setdefault(tuple(values.values()), []).append(i)
    finest = _finest(badness.values())
    p = holm([paired_p_value(badness[group[0]], first, finest) for group in groups.values()])
    tested = zip(groups.values(), p, strict=True)
    undecided = frozenset(i for group, value in tested if value > SIGNIFICANCE for i in group)
    limit = _of_original(lines, measure)
    as_good = frozenset(i for i in undecided if means[i] <= limit)
    return Ranking(best, as_good, undecided, len(groups))


def _finest(badness: Iterable[Mapping[int, float]]) -> float:
    """The least difference of any two values: a measure of so many images has none that is less."""
    steps = np.diff(np.unique([value for values in badness for value in values.values()]))
    return float(min((step for step in steps if step > 1e-12), default=0.0))


def _of_original(lines: Sequence[Line], measure: str) -> float:
    """What a method must not be worse than; no limit where forgetting is not what is measured."""
    original = next((line for line in lines if line.name == "original"), None)
    values = _badness(original, measure) if original is not None and measure in DISTANCES else None
    return float(np.mean(list(values.values()))) if values else float("inf")


def _badness(line: Line, measure: str) -> dict[int, float] | None:
    """By choice of images; ``None`` where there is no value, or none to compare it with."""
    good = COLUMNS[measure].good
    values = line.values.get(f"gap_{measure}" if good == "near gold" else measure)
    if not values:
        return None
    if measure in COSTS:
        values = dict.fromkeys(values, middle(values).value)
    if measure == "closes":  # beyond gold's place there is nothing more to win
        values = {at: min(1.0, value) for at, value in values.items()}
    sign = -1 if good == "up" else 1
    return {split: sign * value for split, value in by_split(values).items()}
