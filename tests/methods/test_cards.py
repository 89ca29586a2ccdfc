import re

import pytest

from lotus_unlearning.cli import main
from lotus_unlearning.methods.cards import CARDS


@pytest.mark.parametrize(
    ("methods", "keys"),
    [
        (["unsir"], ["tarun2023fast", "choi2023towards"]),
        (["random-labels"], ["graves2021amnesiac", "foster2024fast"]),
        (["ssd", "random-labels", "ssd"], ["foster2024fast", "graves2021amnesiac"]),
    ],
)
def test_cite_names_everyone_whose_work_a_method_is_once(methods, keys, capsys):
    assert main(["cite", *methods]) == 0
    assert re.findall(r"(?m)^@\w+\{(\w+),$", capsys.readouterr().out) == keys


def test_every_card_says_what_is_computed_and_what_is_held():
    for name, card in CARDS.items():
        assert "F(" in card.cost or "FB(" in card.cost, name
        assert "Memory" in card.cost, name


def test_every_card_says_what_a_method_does_in_two_sentences_or_more():
    for name, card in CARDS.items():
        assert len(re.findall(r"\.(?: |$)", card.does)) >= 2, name
