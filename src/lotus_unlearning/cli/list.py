"""``lotus list``: what there is, from the same records that the code uses."""

import textwrap
from collections.abc import Iterator

from lotus_unlearning.cli import options, parsing
from lotus_unlearning.datasets import DATASETS
from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.cards import CARDS, about, differs
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.metrics import LADDER, METRICS
from lotus_unlearning.models import MODELS

_EXAMPLES = """
lotus list
lotus list methods
"""


def main(words: list[str]) -> None:
    """Print one kind of thing, or all."""
    kinds = {
        "methods": _methods,
        "metrics": _metrics,
        "data": _data,
        "models": _models,
        "presets": _presets,
    }
    parser = parsing.parser("list", "Methods, metrics, data sets, models, presets.", _EXAMPLES)
    parser.add_argument("kind", nargs="?", type=str, default="all", help=", ".join(kinds))
    kind = parsing.parse(parser, words).kind
    if kind != "all" and kind not in kinds:
        raise ValueError(options.unknown("list", kind, kinds))
    for name in kinds if kind == "all" else [kind]:
        print(f"{name.upper()}\n" + "\n".join(kinds[name]()) + "\n")


_OWN = "a method of your own, a frozen dataclass with reads and __call__; see CONTRIBUTING.md"


def _entry(name: str, about: str, *lines: str) -> str:
    filled = [
        textwrap.fill(line, 98, initial_indent="    ", subsequent_indent="    ")
        for line in lines
        if line
    ]
    return "\n".join([f"{name}: {about}", *filled])


def _methods() -> Iterator[str]:
    for name, cls in METHODS.items():
        record, card = describe(cls()), CARDS[name]
        settings = ", ".join(f"{k} {v}" for k, v in record["settings"].items())
        details = {
            "does": card.does,
            "works": card.works,
            "cost": card.cost,
            "settings": settings,
            "differs from its paper": differs(name),
            "differs from the code behind the LoTUS tables": card.tables,
            "source": record["citation"],
        }
        yield _entry(name, about(name), *(f"{what}: {text}" for what, text in details.items()))
    yield _entry("python:MODULE:CLASS", _OWN)


def _metrics() -> Iterator[str]:
    for metric in METRICS.values():
        good = {"up": "more is better", "down": "less is better"}.get(metric.direction, "near gold")
        span = f"{metric.lower:.4g} to {metric.upper:.4g} {metric.unit}".strip()
        needs = f"; needs {', '.join(metric.needs)}" if metric.needs else ""
        rung = LADDER.get(metric.name)
        ladder = [] if rung is None else [f"extra models: {rung.models}; perfect: {rung.perfect}"]
        lines = (metric.definition, f"{good}; {span}{needs}", *ladder, metric.source)
        yield _entry(metric.name, *lines)


def _data() -> Iterator[str]:
    for name, info in DATASETS.items():
        yield _entry(name, info.about, f"from: {info.get}", info.source)


def _models() -> Iterator[str]:
    for name, info in MODELS.items():
        yield _entry(name, info.about, info.source)


def _presets() -> Iterator[str]:
    for name, methods in PRESETS.items():
        lines = [
            f"{m}: " + ", ".join(f"{k} {v}" for k, v in describe(s)["settings"].items())
            for m, s in methods.items()
        ]
        yield _entry(name, "settings for " + ", ".join(methods), *lines)
