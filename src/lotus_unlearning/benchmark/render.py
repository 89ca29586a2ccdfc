"""Tables as text for a terminal, Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Sequence

from tabulate import tabulate

from lotus_unlearning.benchmark.layout import BOLD, ITALIC, PRINTED, Entry, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
}
_MARKDOWN = {"": "{}", "best": "**{}**", "as good": "*{}*"}
_TEX = {"": "{}", "best": r"\textbf{{{}}}", "as good": r"\textit{{{}}}"}
_TERMINAL = {"": "{}", "best": "{} *", "as good": "{} ="}


def as_text(table: Table) -> str:
    """For a terminal: ``*`` marks the best, ``=`` those not significantly worse."""
    rows = [[_TERMINAL[entry.mark].format(entry.text) for entry in row] for row in table.rows]
    body = tabulate(
        rows, table.heads, tablefmt="simple", disable_numparse=True, colalign=_sides(table)
    )
    notes = (n.replace(f"{BOLD}:", "*:").replace(f"{ITALIC}:", "=:") for n in table.notes)
    return f"{table.title}\n\n{body}\n" + "".join(f"\n{note}" for note in notes) + "\n"


def as_markdown(table: Table) -> str:
    """Best in bold, not significantly worse in italics."""
    rows = [
        [_MARKDOWN[entry.mark].format(entry.text.replace("|", "\\|")) for entry in row]
        for row in table.rows
    ]
    body = tabulate(
        rows, table.heads, tablefmt="pipe", disable_numparse=True, colalign=_sides(table)
    )
    notes = "".join(f"* {note}\n" for note in table.notes)
    return f"### {table.title}\n\n{body}\n\n{notes}"


def as_latex(table: Table) -> str:
    """A ``table`` with booktabs rules, to be included in a paper."""
    rows = [[_TEX[entry.mark].format(_escaped(entry.text)) for entry in row] for row in table.rows]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escaped(table.title)}. {_escaped(' '.join(table.notes))}}}",
        rf"\begin{{tabular}}{{{''.join('l' if s == 'left' else 'r' for s in _sides(table))}}}",
        r"\toprule",
        " & ".join(_escaped(head) for head in table.heads) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def as_csv(tables: Sequence[Table]) -> str:
    """One line for each number: unrounded mean and interval; or for each entry, of words.

    Args:
        tables: The tables of a grid: the same columns name the rows of all of them.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = tables[0].names
    heads = [head.lower() for head in tables[0].heads[:names]]
    value = "mean" if tables[0].measures else "value"  # of correlations there are no means
    forgotten = ["scenario"] if any(table.scenario for table in tables) else []
    writer.writerow(["block", *forgotten, *heads, "measure", value, "low", "high", "mark", "text"])
    for table in tables:
        for row in table.rows:
            measures = table.measures or [None] * len(row)
            before = ""
            for head, measure, entry in list(zip(table.heads, measures, row, strict=True))[names:]:
                found = entry.estimate
                head = f"{PRINTED} {before}" if head == PRINTED else head
                before = measure or before
                numbers = [found.value, found.low, found.high] if found else ["", "", ""]
                named = [one.text for one in row[:names]]
                where = [table.name, *[table.scenario for _ in forgotten], *named, measure or head]
                writer.writerow([*where, *numbers, entry.mark, entry.text])
    return stream.getvalue()


def _sides(table: Table) -> list[str]:
    return ["left" if _is_words(table, i) else "right" for i in range(len(table.heads))]


def _is_words(table: Table, column: int) -> bool:
    texts = [row[column].text.lstrip("-") for row in table.rows]
    return not any(text[:1].isdigit() for text in texts)


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


__all__ = ["Entry", "as_csv", "as_latex", "as_markdown", "as_text"]
