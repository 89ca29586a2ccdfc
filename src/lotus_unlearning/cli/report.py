"""``lotus report``: write the page of a run again, from its ``metrics.json``."""

from pathlib import Path

from lotus_unlearning.cli import parsing
from lotus_unlearning.cli.options import say
from lotus_unlearning.evaluation import Evaluation

_EXAMPLES = """
lotus demo --out runs/demo
lotus report runs/demo
lotus report runs/demo --out for-the-auditor.html
"""
_PAGE = b"<!doctype html"


def main(words: list[str]) -> None:
    """Render ``RUN/metrics.json``; a page that is there is replaced when the new one is done."""
    parser = parsing.parser("report", "Write the page of a run again.", _EXAMPLES)
    parser.add_argument("run", type=str, help="run folder with metrics.json")
    parser.add_argument("--out", type=str | None, default=None, help="default: RUN/report.html")
    chosen = parsing.parse(parser, words)
    source = Path(chosen.run) / "metrics.json"
    if not source.is_file():
        raise ValueError(
            f"run: expected a folder with metrics.json, made by lotus unlearn, evaluate or demo; "
            f"got {chosen.run!r}"
        )
    out = Path(chosen.out) if chosen.out else Path(chosen.run) / "report.html"
    _require_page(out)
    page = Evaluation.from_json(source).to_html(out)
    say(f"page: {page}")


def _require_page(out: Path) -> None:
    """Nothing but a page is replaced by one.

    Raises:
        ValueError: If something else is there.
    """
    if not out.exists():
        return
    if out.is_file():
        with out.open("rb") as file:
            start = file.read(len(_PAGE))
        if not start or start.lower() == _PAGE:
            return
    raise ValueError(
        f"out: expected a new file or a page to replace, got {str(out)!r}, which is something else"
    )
