"""An audit: a verdict, its self-test and the ladder, as Markdown, JSON or a page."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lotus_unlearning.evaluation import rows
from lotus_unlearning.files.folders import replace_text
from lotus_unlearning.files.plain import from_json
from lotus_unlearning.report.audit import render_audit
from lotus_unlearning.report.page import ARROWS_IN_TEXT, formatted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Audit:
    """What was found.

    Attributes:
        page: Everything, as plain data: ``audit.json``. See
            :mod:`lotus_unlearning.report.audit`.
    """

    page: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """One of three sentences; see :func:`lotus_unlearning.metrics.verdict`."""
        found: str = self.page["verdict"]["outcome"]
        return found

    @property
    def values(self) -> dict[str, dict[str, float | None]]:
        """Model -> measure -> value; gold's is the mean over golds."""
        return rows.values(self.page["ladder"], self.page["columns"])

    @property
    def intervals(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Model -> measure -> 95% interval: over images; of gold: where one more is expected."""
        return rows.intervals(self.page["ladder"], self.page["columns"])

    @property
    def notes(self) -> list[str]:
        """Caveats."""
        return list(self.page["notes"])

    def to_frame(self, *, intervals: bool = False) -> "pd.DataFrame":
        """One row per measure of the ladder, one column per model; NaN where undefined.

        Args:
            intervals: Three columns per model instead: value, low and high end of the interval.
        """
        return rows.frame(self.page["ladder"], self.page["columns"], with_intervals=intervals)

    def to_markdown(self) -> str:
        """The verdict, what it rests on, and the ladder, less its details, as a table to paste."""
        verdict = self.page["verdict"]
        lines = [f"**{verdict['outcome'].capitalize()}**", *verdict["sentences"], ""]
        lines += [*self.page["self_test"]["sentences"], ""] if self.page["self_test"] else []
        notes = "".join(f"\n- {note}" for note in self.page["notes"])
        more = len(self.page["ladder"]) - len(self._shown())
        rest = f"\n\n{more} more rows are in the page and its JSON.\n" if more else ""
        return "\n".join(lines) + "\n" + self._table() + rest + (f"\n{notes}" if notes else "")

    def _shown(self) -> list[dict[str, Any]]:
        """Rows that no other stands for; audits of earlier versions have no details."""
        return [row for row in self.page["ladder"] if not row.get("detail")]

    def _table(self) -> str:
        from tabulate import tabulate

        columns = self.page["columns"]
        body = [
            [f"{row['level']}", f"{row['label']} {ARROWS_IN_TEXT[row['direction']]}"]
            + [_cell(row, column) for column in columns]
            for row in self._shown()
        ]
        align = ["right", "left", *["right"] * len(columns)]
        text: str = tabulate(
            body, ["level", "", *columns], tablefmt="github", colalign=align, disable_numparse=True
        )
        return text

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to ``path``; :meth:`from_json` reads it again."""
        text = json.dumps(self.page, indent=1, allow_nan=False) + "\n"
        replace_text(Path(path), text)
        return Path(path)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "Audit":
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: If the file holds something else.
        """
        try:
            page = from_json(Path(path))
        except ValueError as error:
            raise ValueError(f"expected the JSON of an audit in {path}: {error}") from None
        if not isinstance(page, dict) or not {"verdict", "ladder"} <= page.keys():
            raise ValueError(f"expected an audit in {path}, got other JSON; audit.json is one")
        return cls(page)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one self-contained page that opens offline."""
        replace_text(Path(path), render_audit(self.page))
        return Path(path)

    def __repr__(self) -> str:
        measures = len(self.page["ladder"])
        return f"Audit({self.outcome}: {measures} measures, level {self.page['level']})"

    def __str__(self) -> str:
        return self.to_markdown()


def _cell(row: Mapping[str, Any], column: str) -> str:
    text = formatted(row["values"].get(column), row["unit"])
    interval = row["intervals"].get(column)
    if interval:
        low, high = (formatted(end, row["unit"]) for end in interval)
        text += f" [{low}, {high}]"
    return text
