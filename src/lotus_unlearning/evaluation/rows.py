"""Rows of measures, as pages hold them, as nested mappings and as a frame."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Rows = Sequence[Mapping[str, Any]]
"""Each with ``measure``, ``values`` and ``intervals``, the latter two by model."""


def values(rows: Rows, models: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Model -> measure -> value; ``None`` where it is not defined."""
    return {model: {row["measure"]: row["values"].get(model) for row in rows} for model in models}


def intervals(rows: Rows, models: Sequence[str]) -> dict[str, dict[str, tuple[float, float]]]:
    """Model -> measure -> lowest and highest value of the 95% interval, where there is one."""
    return {
        model: {
            row["measure"]: (ends[0], ends[1])
            for row in rows
            if (ends := (row.get("intervals") or {}).get(model))
        }
        for model in models
    }


def frame(rows: Rows, models: Sequence[str], *, with_intervals: bool) -> "pd.DataFrame":
    """One row per measure; a column per model, or its value, low and high end."""
    import pandas as pd

    found = pd.DataFrame(values(rows, models), dtype=float)
    if not with_intervals:
        return found.rename_axis(index="measure", columns="model")
    known = intervals(rows, models)
    parts = {}
    for model in models:
        ends = [known[model].get(row["measure"], (None, None)) for row in rows]
        parts[model, "value"] = [row["values"].get(model) for row in rows]
        parts[model, "low"] = [low for low, _ in ends]
        parts[model, "high"] = [high for _, high in ends]
    both = pd.DataFrame(parts, index=found.index, dtype=float)
    return both.rename_axis(index="measure", columns=["model", "part"])
