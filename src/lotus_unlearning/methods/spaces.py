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
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

import torch

from lotus_unlearning.kinds import misfits
from lotus_unlearning.methods import METHODS
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


Rule = Literal["tenfold", "rest", "share", "count"]
Space = dict[str, Range]

TENFOLD: Rule = "tenfold"
REST: Rule = "rest"
SHARE: Rule = "share"
COUNT: Rule = "count"

SPACES: dict[str, dict[str, Rule]] = {
    # the paper sets all three per data set and model
    "lotus": {"learning_rate": TENFOLD, "alpha": TENFOLD, "epochs": COUNT},
    # nothing but how far it goes on training
    "finetune": {"learning_rate": TENFOLD, "epochs": COUNT},
    # alpha is 0.95 to 0.9999 in the paper: what counts is 1 - alpha, the weight of the ascent
    "neg-grad-plus": {"learning_rate": TENFOLD, "alpha": REST, "epochs": COUNT},
    # how hard and how long wrong labels are taught
    "random-labels": {"learning_rate": TENFOLD, "epochs": COUNT},
    # the temperature says how much of both teachers' doubt is taught
    "bad-teacher": {"learning_rate": TENFOLD, "temperature": TENFOLD, "epochs": COUNT},
    # the paper tunes rate, alpha and the number of maximising epochs; 0 of those forget nothing
    "scrub": {
        "learning_rate": TENFOLD,
        "alpha": TENFOLD,
        "max_steps": COUNT,
        "epochs": COUNT,
    },
    # its only two settings; alpha is cut where nothing is dampened, see space()
    "ssd": {"alpha": TENFOLD, "dampening": TENFOLD},
    # of the version that fits the splits, see space(): its rates and how far noise is learned
    "unsir": {
        "by_instance.learning_rate": TENFOLD,
        "by_instance.noise_steps": COUNT,
        "by_instance.epochs": COUNT,
        "by_class.impair_learning_rate": TENFOLD,
        "by_class.repair_learning_rate": TENFOLD,
        "by_class.noise_steps": COUNT,
    },
    # the share of the weights that may change is the paper's own setting, 0.1 to 1 there
    "salun": {"learning_rate": TENFOLD, "share": SHARE, "epochs": COUNT},
    # the penalty is what it adds to fine-tuning
    "l1-sparse": {"learning_rate": TENFOLD, "penalty": TENFOLD, "epochs": COUNT},
    # nothing but how far it climbs: ten times the rate ruins models, a tenth does nothing
    "gradient-ascent": {"learning_rate": TENFOLD, "epochs": COUNT},
    # how much is reset, and how fast and how long it learns again
    "regrow": {"share": SHARE, "learning_rate": TENFOLD, "epochs": COUNT},
}
"""Method -> setting -> rule of its bounds."""


def default(name: str, key: str) -> Any:
    """The default of a setting.

    >>> default("unsir", "by_instance.epochs")
    2
    """
    return setting(METHODS[name](), key)


def setting(method: Method, key: str) -> Any:
    """A setting of a method, or with a dot of a record within it."""
    value: Any = method
    for part in key.split("."):
        value = getattr(value, part)
    return value


def space(
    name: str, sets: Sequence[Splits], batch_size: int = 128, start: Method | None = None
) -> Space:
    """The bounds of a search on ``sets``; the settings of ``start`` are within them.

    UNSIR has a version for whole classes and one for single images: only the settings of the one
    that runs are searched. SSD dampens nothing where alpha is above the number of all batches
    over that of forget batches, about n / n_f: alpha ends there (at the default, if that is
    above), and begins at a tenth of it, so that at least half of its range does something.

    Args:
        name: A key of ``SPACES``.
        sets: What is to be forgotten, once or more often.
        batch_size: Of the run.
        start: What the bounds are drawn around; ``None``: the method's defaults.

    Raises:
        ValueError: If UNSIR would run in both versions.
    """
    start = METHODS[name]() if start is None else start
    bounds = {key: bounds_of(rule, setting(start, key)) for key, rule in SPACES[name].items()}
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


def with_settings(name: str, settings: Mapping[str, Any]) -> Method:
    """A method with some settings, of records within it, too.

    Args:
        name: A key of ``METHODS``.
        settings: Name, or ``record.name``, -> value; all others are the defaults. A method within
            the method goes by its name.

    Raises:
        ValueError: If the method has no such setting; lists all that are unknown.

    >>> with_settings("unsir", {"by_instance.epochs": 3}).by_instance.epochs
    3
    >>> with_settings("salun", {"inner": "lotus", "inner.alpha": 8.0}).inner.alpha
    8.0
    """
    return changed(METHODS[name](), name, settings)


def changed(method: Any, name: str, settings: Mapping[str, Any]) -> Method:
    """A method with other settings, as in :func:`with_settings`.

    Args:
        method: What it is made from.
        name: What errors call it.
        settings: Name, or ``record.name``, -> value; all others stay.

    Raises:
        ValueError: If the method has no such setting, or it is of another kind; lists all.
    """
    within = {key: value for key, value in settings.items() if _holds_method(method, key)}
    settings = {key: value for key, value in settings.items() if key not in within}
    method = dataclasses.replace(method, **{k: _by_name(name, k, v) for k, v in within.items()})
    problems = [_unknown(method, key) for key in settings if not _known(method, key)]
    for key, value in settings.items() if not problems else ():
        problems += _other_kinds(method, key, value)
    if problems:
        raise ValueError(f"settings of {name}: {'; '.join(problems)}")
    direct = {key: value for key, value in settings.items() if "." not in key}
    for record in {key.partition(".")[0] for key in settings.keys() - direct.keys()}:
        inner = {
            key.partition(".")[2]: value
            for key, value in settings.items()
            if key.startswith(f"{record}.")
        }
        direct[record] = changed(getattr(method, record), f"{name}.{record}", inner)
    made: Method = dataclasses.replace(method, **direct)
    return made


def _holds_method(method: Any, key: str) -> bool:
    fields = dataclasses.fields(method)
    return any(f.name == key and Method in get_args(f.type) for f in fields)


def _by_name(name: str, key: str, value: Any) -> Any:
    if value is None or callable(value):
        return value
    if not isinstance(value, str) or value not in METHODS:
        near = difflib.get_close_matches(str(value), METHODS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"settings of {name}: {key}: expected one of {', '.join(METHODS)}; got {value!r}{hint}"
        )
    return METHODS[value]()


def _known(method: Any, key: str) -> bool:
    record, dot, inner = key.partition(".")
    if not dataclasses.is_dataclass(method) or record not in {
        field.name for field in dataclasses.fields(method)
    }:
        return False
    return not dot or _known(getattr(method, record), inner)


def _other_kinds(method: Any, key: str, value: Any, place: str = "") -> Iterator[str]:
    record, dot, inner = key.partition(".")
    if dot:
        yield from _other_kinds(getattr(method, record), inner, value, f"{record}.")
        return
    kind = get_type_hints(type(method))[key]
    if not dataclasses.is_dataclass(kind):
        yield from misfits(value, kind, f"{place}{key}")
    elif not isinstance(value, kind):  # type: ignore[arg-type]
        yield f"{key} (expected its settings one by one, as {key}.NAME)"


def _unknown(method: Any, key: str) -> str:
    names = [field.name for field in dataclasses.fields(method)]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"expected some of {', '.join(names)}; got {key!r}{hint}"
