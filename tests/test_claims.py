"""What the methods claim is in the committed cells of results/, or docs/methods.md says why not."""

import re
from pathlib import Path

import pytest

from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.benchmark.summary import by_split, summarise
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.methods import METHODS

ROOT = Path(__file__).parents[1]
WHY_NOT = {"ssd": "the published alpha changes nothing"}
"""Methods that do not raise the loss on forget images, and what their section says of it."""


@pytest.fixture(scope="module")
def lines():
    """Original, gold and every method at each of its settings: Fashion-MNIST, 10% forgotten."""
    settings = ["authors", "tuned", "paper"]
    grid = read_grid("table1", {"blocks": ["fashion-mnist"], "seeds": 3, "settings": settings})
    (part,) = summarise(grid, Store(ROOT / "results"))
    assert part.draws == (3, 3)
    return part.lines


def losses(line):
    """Choice of images -> mean loss on those to forget."""
    return by_split(line.values["forget_loss"])


@pytest.mark.parametrize("name", [name for name in METHODS if name != "retrain"])
def test_raises_the_loss_on_forget_images_at_some_settings_or_says_why_not(name, lines):
    original = losses(lines[0])
    runs = [losses(line) for line in lines if line.name == name and line.values]
    assert runs
    assert all(run.keys() == original.keys() for run in runs)
    raises = any(all(run[split] > original[split] for split in original) for run in runs)
    assert raises == (name not in WHY_NOT)
    if not raises:
        page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
        section = re.search(rf"(?ms)^## \w+ \(`{name}`\)\n.*?(?=^## |\Z)", page)
        assert section is not None
        assert WHY_NOT[name] in section[0]


def test_the_loss_on_forget_images_is_higher_where_the_model_was_not_trained_on_them(lines):
    """What the methods are to come to: without it, raising the loss would be no aim."""
    original, gold = losses(lines[0]), losses(lines[1])
    assert lines[1].name == "gold"
    assert all(gold[split] > original[split] for split in original)
