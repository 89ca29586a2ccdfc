"""A search as text: the entry of ``tuned.yaml``, and the table of all trials."""

import copy
import csv
import io
from collections.abc import Sequence
from typing import Any

from lotus_unlearning.tuning.objective import CAUTION
from lotus_unlearning.tuning.search import Tuned

_COLUMNS = ("method", "trial", "objective", "seconds", "warnings")


def entry(found: Tuned, **more: Any) -> dict[str, Any]:
    """Settings and search as plain data.

    Args:
        found: The search.
        more: Facts that the search knows nothing of: where images and model come from.
    """
    search = {
        "objective": found.best.value,
        "default": found.default.value,
        "noise_floor": found.noise_floor,
        "better_than_noise": found.better_than_noise,
        "unchanged": found.unchanged,
        "trials": len(found.trials),
        **more,
        **found.facts,
        "caution": CAUTION,
    }
    return copy.deepcopy({"settings": found.best.settings, "search": search})


def trials_csv(searches: Sequence[Tuned]) -> str:
    """One line per trial: method, number, objective and that of each draw, settings."""
    rows = [row for found in searches for row in _rows(found)]
    columns = dict.fromkeys(key for row in rows for key in row if key not in _COLUMNS)
    text = io.StringIO()
    table = csv.DictWriter(text, [*_COLUMNS, *columns], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _rows(found: Tuned) -> list[dict[str, Any]]:
    return [
        {
            "method": found.name,
            "trial": number,
            "objective": trial.value,
            "seconds": round(trial.seconds, 2),
            "warnings": " | ".join(trial.warnings),
            **{f"draw {draw}": value for draw, value in enumerate(trial.values, start=1)},
            **trial.settings,
        }
        for number, trial in enumerate(found.trials, start=1)
    ]
