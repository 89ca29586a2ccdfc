"""What ``lotus tune`` may change in each method, and within which bounds.

Two to four settings per method, those its own paper tunes; all others keep their defaults. Every
bound follows by a rule from the default, which is the authors' value or what the method's file
says instead:

* ``TENFOLD``, for rates, weights and temperatures: from a tenth of the default to ten times it,
  drawn evenly in the logarithm;
* ``REST``, for a weight near 1: the same for what is left of it to 1;
* ``SHARE``: from a tenth of the default to 1, which is all;
* ``COUNT``, for epochs and steps: from 1 to twice the default.

A setting of a record within a method is spelled with a dot: ``by_instance.learning_rate``.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch

from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.form import Rule
from lotus_unlearning.methods.settings import method_class, setting
from lotus_unlearning.own_code import is_own
from lotus_unlearning.runtime import cut
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Method


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``.

    Attributes:
        low: The smallest.
        high: The largest; an integer range where both are integers.
        log: Draw the logarithm evenly, not the number.
        rest: Draw 1 minus the number.
    """

    low: float
    high: float
    log: bool = False
    rest: bool = False


Space = dict[str, Range]

SPACES: dict[str, Mapping[str, Rule]] = {
    name: method.searches for name, method in METHODS.items() if hasattr(method, "searches")
}
"""Method -> setting -> rule of its bounds."""


def rules_of(name: str) -> Mapping[str, Rule]:
    """Which settings of a method are searched; a method of one's own says so in ``searches``.

    Raises:
        ValueError: If there is no such method, or it has nothing to search.
    """
    if not is_own(name):
        if name in SPACES:
            return SPACES[name]
        raise ValueError(
            f"method: expected one with settings to search ({', '.join(SPACES)}), got {name!r}"
        )
    cls = method_class(name)
    known = {field.name for field in dataclasses.fields(cls)}
    rules = getattr(cls, "searches", None)
    fit = isinstance(rules, Mapping) and rules and set(rules.values()) <= set(get_args(Rule))
    if not fit or not {key.partition(".")[0] for key in rules} <= known:  # type: ignore[union-attr]
        raise ValueError(
            f"method: expected {name} to say which of its settings are searched, as searches: "
            'ClassVar[dict[str, str]] = {"learning_rate": "tenfold"}, of '
            f"{', '.join(sorted(known))} with {', '.join(get_args(Rule))}; got {rules!r}"
        )
    return rules  # type: ignore[return-value]


def space(
    name: str, sets: Sequence[Splits], batch_size: int = 128, start: Method | None = None
) -> Space:
    """The bounds of a search on ``sets``; the settings of ``start`` are within them.

    UNSIR has a version for whole classes and one for single images: only the settings of the one
    that runs are searched. SSD dampens nothing where alpha is above the number of all batches
    over that of forget batches, about n / n_f: alpha ends there (at the default, if that is
    above), and begins at a tenth of it, so that at least half of its range does something.

    Args:
        name: A key of ``SPACES``, or ``python:MODULE:CLASS``.
        sets: What is to be forgotten, once or more often.
        batch_size: Of the run.
        start: What the bounds are drawn around; ``None``: the method's defaults.

    Raises:
        ValueError: If UNSIR would run in both versions.
    """
    start = method_class(name)() if start is None else start
    bounds = {key: bounds_of(rule, setting(start, key)) for key, rule in rules_of(name).items()}
    if name == "unsir":
        version = _unsir_version(sets)
        return {key: known for key, known in bounds.items() if key.startswith(version)}
    if name == "ssd":
        known, idle = bounds["alpha"], min(_batch_ratio(one, batch_size) for one in sets)
        high = max(setting(start, "alpha"), min(known.high, idle))
        bounds["alpha"] = Range(four_digits(min(known.low, idle / 10)), four_digits(high), log=True)
    return bounds


def _batch_ratio(splits: Splits, batch_size: int) -> float:
    """All batches over forget batches, where no batch mixes forget and retain."""
    forget, retain = (cut.count(len(part), batch_size) for part in (splits.forget, splits.retain))
    return (forget + retain) / forget


def bounds_of(rule: Rule, value: float) -> Range:
    """What a rule makes of a default."""
    if rule == "count":
        return Range(1, 2 * int(value))
    if rule == "share":
        return Range(four_digits(value / 10), 1.0)
    if rule == "rest":
        rest = 1 - value
        return Range(four_digits(1 - 10 * rest), four_digits(1 - rest / 10), log=True, rest=True)
    return Range(four_digits(value / 10), four_digits(10 * value), log=True)


def _unsir_version(sets: Sequence[Splits]) -> str:
    """Which of UNSIR's versions runs: that for classes, if retain has no image of them."""
    shared = [len(s.gone) < len(torch.unique(s.forget.labels)) for s in sets]
    if all(shared):
        return "by_instance"
    if any(shared):
        raise ValueError(
            "unsir: expected forget sets that are all whole classes, or none of them, got some of "
            "both; tune on the ones and on the others in two searches"
        )
    return "by_class"


def four_digits(value: float) -> float:
    """``value`` with four significant digits: enough to write down, and what is run.

    >>> four_digits(0.000123456)
    0.0001235
    """
    return float(f"{value:.4g}")
