"""The guard rails: what a new model must keep to be served instead of the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lotus_unlearning.requests.settings import Drift, Guards

Values = Mapping[str, float | None]
_NAMES = {"retain_accuracy": "accuracy on retained images", "test_accuracy": "accuracy on test"}


@dataclass(frozen=True)
class Check:
    """One guard rail.

    Attributes:
        name: The name of the measure.
        before: The value of the model that is served.
        after: The value of the new model.
        limit: The value that ``after`` is not to be below (accuracies), or the distance that it is
            to have at most from where golds are, or from 0.5 where none are known (attacks).
        holds: Whether the limit is kept.
        why: The reason, in words.
    """

    name: str
    before: float | None
    after: float | None
    limit: float | None
    holds: bool
    why: str


def check(
    before: Values,
    after: Values,
    attack_interval: Sequence[float] | None,
    guards: Guards,
    gold_interval: Sequence[float] | None = None,
) -> list[Check]:
    """All guard rails.

    Args:
        before: Measures of the model that is served.
        after: Measures of the new model, on the same images.
        attack_interval: The 95% interval of the attack's AUC on the model that is served.
        guards: The limits.
        gold_interval: Where the AUC of one more gold is expected, if golds are known: what counts
            then is how far it is from there, not from 0.5.

    >>> values = {"retain_accuracy": 0.99, "test_accuracy": 0.98, "auc_loss": 0.55}
    >>> [c.holds for c in check(values, {**values, "test_accuracy": 0.9}, (0.5, 0.6), Guards())]
    [True, False, True]
    """
    rails, name = accuracies(before, after, guards), guards.attack
    if name is not None:
        found = before.get(name), after.get(name)
        rails.append(_attack(name, *found, attack_interval, gold_interval))
    return rails


def accuracies(before: Values, after: Values, guards: Guards) -> list[Check]:
    """The guard rails on accuracies alone, which need no golds.

    Args:
        before: Measures of the model that is served.
        after: Measures of the new model, on the same images.
        guards: The limits.
    """
    losses = {
        "retain_accuracy": guards.retained_accuracy_loss,
        "test_accuracy": guards.test_accuracy_loss,
    }
    return [_accuracy(n, before.get(n), after.get(n), limit) for n, limit in losses.items()]


def changed(before: str, after: str) -> Check:
    """Whether anything was done: a model with the same weights has forgotten nothing.

    Args:
        before: The SHA-256 of the weights of the model that is served.
        after: The SHA-256 of the weights of the new model.

    >>> changed("a1", "a1").holds
    False
    """
    holds = before != after
    why = "weights changed"
    if not holds:
        why = (
            "nothing was forgotten: all weights are those of the model before; change the method "
            "or its settings in lotus.yaml, or use --retrain"
        )
    return Check("changed", None, None, None, holds, why)


def drift(first: Values, current: Values, limits: Drift) -> dict[str, Any]:
    """How much accuracy was lost since the first model, and whether that recommends retraining.

    >>> first = {"retain_accuracy": 0.99, "test_accuracy": 0.98}
    >>> drift(first, {**first, "test_accuracy": 0.90}, Drift())["recommends_retraining"]
    True
    """
    allowed = {
        "retain_accuracy": limits.retained_accuracy_loss,
        "test_accuracy": limits.test_accuracy_loss,
    }
    rows: dict[str, dict[str, Any]] = {}
    for name, limit in allowed.items():
        then, today = first.get(name), current.get(name)
        loss = None if then is None or today is None else then - today
        rows[name] = {"first": then, "now": today, "loss": loss, "limit": limit}
    over = any(row["loss"] is not None and row["loss"] > row["limit"] for row in rows.values())
    return {"measures": rows, "recommends_retraining": over}


def _accuracy(name: str, before: float | None, after: float | None, allowed: float) -> Check:
    if before is None or after is None:
        return Check(name, before, after, None, False, f"{_NAMES[name]} was not measured")
    limit = before - allowed
    holds = after >= limit - 1e-12
    kept = "kept" if holds else "lost too much"
    why = f"{_NAMES[name]} {kept}: {before:.4f} before, {after:.4f} after, limit {limit:.4f}"
    return Check(name, before, after, limit, holds, why)


def _attack(
    name: str,
    before: float | None,
    after: float | None,
    interval: Sequence[float] | None,
    golds: Sequence[float] | None,
) -> Check:
    """Farther from where it should be than the interval of the model before is worse.

    That is where one more gold is expected: images to forget may be harder than unseen ones, or
    easier. Where no golds are known it is a coin toss.
    """
    if before is None or after is None or interval is None:
        return Check(name, before, after, None, False, f"{name} was not measured")
    wanted = (0.5, 0.5) if golds is None else (golds[0], golds[1])
    limit = max(_outside(end, wanted) for end in interval)
    holds = _outside(after, wanted) <= limit
    low, high = interval
    goal = "0.5" if golds is None else f"where golds are, {wanted[0]:.4f} to {wanted[1]:.4f}"
    wanted_now = f"at most {limit:.4f} from {goal}" if limit else f"to stay {goal}"
    found = "not shown to be worse" if holds else "worse"
    why = (
        f"attack by {name.removeprefix('auc_')} {found}: AUC "
        f"{before:.4f} [{low:.4f}, {high:.4f}] before, {after:.4f} after, {wanted_now}"
    )
    return Check(name, before, after, limit, holds, why)


def _outside(value: float, wanted: tuple[float, float]) -> float:
    """Distance from an interval."""
    return max(wanted[0] - value, value - wanted[1], 0.0)
