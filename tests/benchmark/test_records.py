"""What is read of the files of finished cells, and what is refused."""

import json

import pytest
from small import grid

from lotus_unlearning.benchmark.canonical import canonical
from lotus_unlearning.benchmark.cells import FORMAT, Reference
from lotus_unlearning.jobs.job import Made
from lotus_unlearning.jobs.store import Store


@pytest.fixture
def cell(tmp_path):
    return next(grid(tmp_path).cells()).original


def test_a_file_says_of_which_cell_it_is(cell, tmp_path):
    Store(tmp_path).save(cell, Made({"values": {"a": 1.0}}), files=False)
    file = json.loads((tmp_path / "cells" / f"{cell.key}.json").read_text())
    named = {"format": FORMAT, "key": cell.key, "cell": canonical(cell)}
    assert list(file.items()) == [*named.items(), ("values", {"a": 1.0})]


def test_a_damaged_file_is_named(cell, tmp_path):
    Store(tmp_path).save(cell, Made({"values": {}}), files=False)
    path = tmp_path / "cells" / f"{cell.key}.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(ValueError, match=f"{cell.key}.json: expected the JSON of a cell"):
        Store(tmp_path).record(cell)


_COUNTS = {"forget": [1] * 30, "unseen": [2] * 30}


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({}, "values (expected a mapping, got none)"),
        ({"values": {"a": "x"}}, "values.a (expected a number or null, got 'x')"),
        ({"values": {"a": float("nan")}}, "got a nan"),
        ({"values": {}, "on": "x"}, "on (expected a mapping, got 'x')"),
        ({"values": {}, "on": {"threads": "x"}}, "on.threads (expected a whole number, got 'x')"),
        ({"values": {}, "method": {"name": "m"}}, "method.settings (expected a mapping, got none)"),
        ({"values": {}, "history": [3]}, "history.0 (expected a mapping, got 3)"),
        ({"values": {}, "entropies": {"forget": []}}, "entropies.unseen (expected a list, got non"),
        ({"values": {}, "entropies": {**_COUNTS, "forget": [1]}}, "other than 30 counts"),
        ({"values": {"p_something_to_close": 0.5}}, "got some of distance_original, distance_gold"),
        ({"error": " "}, "got no word of why it failed"),
        ({"error": ["x"]}, "error (expected text, got a list)"),
    ],
)
def test_a_record_of_other_kinds_of_values_is_named_with_their_places(
    cell, tmp_path, record, place
):
    path = tmp_path / "cells" / f"{cell.key}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=f"{cell.key}.json: expected the JSON of a cell") as caught:
        Store(tmp_path).record(cell)
    assert place in str(caught.value)
    assert str(caught.value).endswith("; delete it and the same command runs the cell again")


def test_a_comparison_with_golds_has_as_many_as_were_asked_for(tmp_path):
    reference = next(one for one in grid(tmp_path).cells() if isinstance(one, Reference))
    store = Store(tmp_path)
    gold = {"values": {"a": 1.0}, "entropies": _COUNTS}
    whole = {"values": {}, "golds": [gold] * 3, "images": {"forget": 1, "retain": 9}}
    store.save(reference, Made(whole), files=False)
    assert store.record(reference)["golds"] == [gold] * 3
    path = tmp_path / "cells" / f"{reference.key}.json"
    for change, told in (
        ({"golds": [gold]}, "expected 3 golds, got 1"),
        ({"golds": [{}] * 3}, r"golds.0.values \(expected a mapping, got none\)"),
        ({"images": {"forget": 1}}, r"images.retain \(expected a whole number, got none\)"),
    ):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(ValueError, match=told):
            store.record(reference)
