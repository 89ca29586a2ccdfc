"""What is read from a file is of the kinds that were written; everything else is named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from lotus_unlearning.files.kinds import misfits, require


class _Row(TypedDict):
    name: str
    share: NotRequired[float | None]


@dataclass
class _Settings:
    epochs: int
    optimizer: Literal["sgd", "adamw"] = "sgd"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, int | None),
        (3, float),
        (float("nan"), float),
        ([], list[int]),
        ((1, 2), list[int]),
        ([1, "a", None], list[Any]),
        (["a"], list[int] | list[str]),
        ({"more": 1, "name": "x"}, _Row),
        ({"name": "x", "share": None}, _Row),
        ({"epochs": 3}, _Settings),
        ([0.5, 1], tuple[float, float]),
        ([1, 2, 3], tuple[int, ...]),
        ({"a": {"b": [0.5, None]}}, dict[str, dict[str, list[float | None]]]),
    ],
)
def test_what_was_written_fits(value, kind):
    assert list(misfits(value, kind)) == []


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        ([], dict[str, Any], "the whole (expected a mapping, got a list)"),
        (True, int, "the whole (expected a whole number, got True)"),
        (True, float, "the whole (expected a number, got True)"),
        (1.5, int | None, "the whole (expected a whole number or null, got 1.5)"),
        (2**70, int, f"the whole (expected a whole number, got {2**70})"),
        (10**400, float, "the whole (expected a number, got 1000"),
        ([1, "a"], list[int] | list[str], "1 (expected a whole number, got 'a')"),
        ({3: 1}, dict[str, int], "3 (expected text as a key, got 3)"),
        ({}, _Row, "name (expected text, got none)"),
        (
            {"rows": [{"name": []}]},
            dict[str, list[_Row]],
            "rows.0.name (expected text, got a list)",
        ),
        ([0.5], tuple[float, float], "the whole (expected 2 values, got 1)"),
        ({"a": [0.5, 1, 2]}, dict[str, tuple[float, float]], "a (expected 2 values, got 3)"),
        ([0.5, "x"], tuple[float, float], "1 (expected a number, got 'x')"),
        ({"epochs": 1, "rate": 1}, _Settings, "rate (expected one of epochs, optimizer)"),
        ({"epochs": 1, "optimizer": 1}, _Settings, "one of 'sgd', 'adamw', got 1)"),
        ("x" * 1000, int, f"the whole (expected a whole number, got '{'x' * 39}...)"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(value, kind, told):
    assert told in "; ".join(misfits(value, kind))


def test_whole_numbers_that_no_float_holds_are_no_numbers():
    """Else they would end in an OverflowError where they are reckoned with."""
    assert list(misfits([1, 10**400], list[float])) != []
    assert list(misfits([1, 10**400], list[int])) != []


def test_only_the_first_few_places_are_told():
    with pytest.raises(ValueError, match=r"^f\.json: expected ids, got other values of ") as caught:
        require(Path("f.json"), ["x"] * 1000, list[int], "ids", "restore it")
    assert "4 (expected a whole number, got 'x'), and more; restore it" in str(caught.value)
    assert "5 (" not in str(caught.value)
