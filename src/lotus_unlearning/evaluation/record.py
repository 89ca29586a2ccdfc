"""An evaluation: numbers with their intervals, as a frame, Markdown, JSON or a page."""

import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lotus_unlearning import report
from lotus_unlearning.evaluation import rows
from lotus_unlearning.files.folders import replace_text
from lotus_unlearning.files.plain import from_json
from lotus_unlearning.report.page import ARROWS_IN_TEXT, formatted
from lotus_unlearning.report.problems import problems

if TYPE_CHECKING:
    import pandas as pd

_TOLD, _LONGEST = 5, 200


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What was measured on up to three models.

    Attributes:
        page: Everything, as plain data: the sections of ``report.html``. See
            :mod:`lotus_unlearning.report.page`.
    """

    page: Mapping[str, Any]

    @property
    def values(self) -> dict[str, dict[str, float | None]]:
        """Model -> measure -> value; ``None`` where it is not defined."""
        return rows.values(self.page["table"], self.page["columns"])

    @property
    def intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Model -> measure -> ends of the 95% interval, by bootstrap over images, where known."""
        return rows.intervals(self.page["table"], self.page["columns"])

    @property
    def notes(self) -> list[str]:
        """Caveats, the most important first."""
        return list(self.page.get("notes") or ())

    def with_note(self, note: str) -> "Evaluation":
        """The same, with one more caveat."""
        return Evaluation({**self.page, "notes": [*(self.page.get("notes") or ()), note]})

    def to_frame(self, *, intervals: bool = False) -> "pd.DataFrame":
        """One row per measure, one column per model; unrounded floats, NaN where undefined.

        Args:
            intervals: Three columns per model instead: value, low and high end of the interval.
        """
        return rows.frame(self.page["table"], self.page["columns"], with_intervals=intervals)

    def to_markdown(self) -> str:
        """A table to paste, with 95% intervals in brackets, and the caveats below it."""
        from tabulate import tabulate

        heads = ["", *self.page["columns"]]
        body = [
            [f"{row['label']} {ARROWS_IN_TEXT[row['direction']]}", *self._cells(row)]
            for row in self.page["table"]
        ]
        align = ["left", *["right"] * len(self.page["columns"])]
        text: str = tabulate(body, heads, tablefmt="github", colalign=align, disable_numparse=True)
        notes = "".join(f"\n- {note}" for note in self.notes)
        return text + (f"\n{notes}" if notes else "")

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to ``path``; :meth:`from_json` reads it again."""
        text = json.dumps(self.page, indent=1, allow_nan=False) + "\n"
        replace_text(Path(path), text)
        return Path(path)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "Evaluation":
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: If the file holds something else.
        """
        try:
            page = from_json(Path(path))
        except ValueError as error:
            raise ValueError(f"expected the JSON of an evaluation in {path}: {error}") from None
        if not isinstance(page, dict) or not {"columns", "table"} <= page.keys():
            raise ValueError(
                f"expected an evaluation in {path}, got other JSON; metrics.json of a run is one"
            )
        found = problems(page)
        if found:
            more = "; and more" if len(found) > _TOLD else ""
            told = "; ".join(one[:_LONGEST] for one in found[:_TOLD])
            raise ValueError(
                f"{path}: expected an evaluation as it was written, got other values of {told}"
                f"{more}; measure again with lotus evaluate"
            )
        return cls(page)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one self-contained page that opens offline."""
        return report.write(self.page, path)

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        cells = []
        for model in self.page["columns"]:
            text = formatted(row["values"][model], row["unit"])
            interval = (row.get("intervals") or {}).get(model)
            if interval:
                low, high = (formatted(end, row["unit"]) for end in interval)
                text += f" [{low}, {high}]"
            cells.append(text)
        return cells

    def __repr__(self) -> str:
        measures = len(self.page["table"])
        return f"Evaluation({', '.join(self.page['columns'])}: {measures} measures)"

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in ["", *self.page["columns"]])
        body = ""
        for row in self.page["table"]:
            label = html.escape(f"{row['label']} {ARROWS_IN_TEXT[row['direction']]}")
            cells = "".join(
                f"<td style='text-align:right'>{html.escape(cell)}</td>"
                for cell in self._cells(row)
            )
            title = html.escape(row.get("definition", ""), quote=True)
            body += f"<tr><th style='text-align:left' title='{title}'>{label}</th>{cells}</tr>"
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table><ul>{notes}</ul>"
        )
