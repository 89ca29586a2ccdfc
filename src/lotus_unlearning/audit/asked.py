"""What is asked of an audit: its level, what it lacks for that, and which models are missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from lotus_unlearning.audit.banks import Bank
from lotus_unlearning.evaluation.made import Model

LEVELS = (0, 1, 2, 3)
_USED_FROM = {"shadows": 2, "others": 2, "trigger": 3}


def level_of(level: int | None, golds: bool, given: Mapping[str, bool]) -> int:
    """The level that is meant: one that makes use of all that is given.

    Args:
        level: What was asked for.
        golds: Whether there are some.
        given: ``"shadows"``, ``"others"``, ``"trigger"`` -> whether there are some.

    Raises:
        ValueError: If there is no such level, it makes no use of something, or it needs golds.

    >>> level_of(None, True, {}), level_of(None, True, {"shadows": True})
    (1, 2)
    """
    least = {name: _USED_FROM[name] for name, there in given.items() if there}
    if level is None:
        level = max([int(golds), *least.values()])
    if level not in LEVELS:
        raise ValueError(f"level: expected 0, 1, 2 or 3, got {level!r}")
    unused = [f"{name} (level {needed})" for name, needed in least.items() if needed > level]
    if unused:
        raise ValueError(
            f"level: expected one that uses what is given, {', '.join(unused)}, got {level}; raise "
            "the level, or leave that out"
        )
    if level > 0 and not golds:
        raise ValueError(
            f"golds: expected gold models for level {level}, got none; make a bank of them with "
            "lotus bank, or audit at level 0"
        )
    return level


def lacking(level: int, shadows: Bank | None, others: Sequence[Model]) -> list[str]:
    """Which attacks of the level are left out for want of models."""
    notes = []
    if level >= 2 and shadows is None:
        notes.append("No shadow models were given: LiRA is offline only.")
    if level >= 2 and len(others) < 2:
        notes.append(
            "KLOM, U-LiRA and forgetting quality compare distributions: they need two more "
            "unlearned models with other seeds, and 6 golds."
        )
    elif level >= 2:
        notes.append(
            "KLOM, U-LiRA and forgetting quality see all that unlearned models have in common. "
            "Those that come from one original share its luck, too: for a fair comparison, each "
            "needs an original of its own."
        )
    return notes


def failed(*banks: Any) -> list[str]:
    """Models that a bank was to have: who reads how many there are is to know why."""
    there = {bank.folder: bank for bank in banks if isinstance(bank, Bank)}
    found = [(m, error) for bank in there.values() for m, error in bank.failed().items()]
    return [
        f"{member.title} of the bank is missing, as it could not be trained: "
        f"{error.strip().splitlines()[-1]}."
        for member, error in found
    ]
