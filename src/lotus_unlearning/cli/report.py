"""``lotus report``: write the page of a run again, from its ``metrics.json``."""

from pathlib import Path

from lotus_unlearning.cli import options
from lotus_unlearning.cli.options import say
from lotus_unlearning.evaluation import Evaluation

_EXAMPLES = """
lotus report runs/unlearned
lotus report runs/unlearned --out for-the-auditor.html
"""


def main(words: list[str]) -> None:
    """Render ``RUN/metrics.json``; a page that is there is replaced when the new one is done."""
    parser = options.parser("report", "Write the page of a run again.", _EXAMPLES)
    parser.add_argument("run", type=str, help="run folder with metrics.json")
    parser.add_argument("--out", type=str | None, default=None, help="default: RUN/report.html")
    chosen = parser.parse_args(words)
    source = Path(chosen.run) / "metrics.json"
    if not source.is_file():
        raise ValueError(
            f"run: expected a folder with metrics.json, made by lotus unlearn, evaluate or demo; "
            f"got {chosen.run!r}"
        )
    out = Path(chosen.out) if chosen.out else Path(chosen.run) / "report.html"
    say(f"page: {Evaluation.from_json(source).to_html(out)}")
