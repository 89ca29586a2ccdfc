import errno
import fcntl
import json
import os
import time

import pytest
from small import grid

from lotus_unlearning.benchmark.cells import Reference, canonical
from lotus_unlearning.benchmark.store import Store
from lotus_unlearning.benchmark.work import Made


@pytest.fixture
def cell(tmp_path):
    return next(grid(tmp_path).cells()).original


def test_a_record_says_what_it_is_of(cell, tmp_path):
    store = Store(tmp_path)
    store.save(cell, Made({"values": {"a": 1.0}}, {"w": b"12"}), files=True)
    record = store.record(cell)
    assert record["values"] == {"a": 1.0}
    assert record["cell"] == canonical(cell)
    assert store.files(cell) == {"w": b"12"}


def test_a_cell_is_not_finished_before_its_files_are_there(cell, tmp_path, monkeypatch):
    store = Store(tmp_path)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Store, "_save_files", broken)
    with pytest.raises(OSError, match="disk full"):
        store.save(cell, Made({"values": {}}, {"w": b"12"}), files=True)
    assert store.record(cell) is None


def test_nothing_is_left_of_a_save_that_breaks_off(cell, tmp_path, monkeypatch):
    store = Store(tmp_path)

    def broken(self, contents):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_bytes", broken)
    with pytest.raises(OSError, match="disk full"):
        store.save(cell, Made({"values": {}}, {"w": b"12"}), files=True)
    assert list((tmp_path / "files").iterdir()) == []


def test_a_damaged_record_is_named_and_not_overwritten(cell, tmp_path):
    store = Store(tmp_path)
    store.save(cell, Made({"values": {}}), files=False)
    path = tmp_path / "cells" / f"{cell.key}.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(ValueError, match=f"{cell.key}.json: expected the JSON of a cell"):
        store.record(cell)


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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"error": 3}', '{"error": ""}'])
def test_a_failure_that_cannot_be_read_is_one_all_the_same(cell, tmp_path, text):
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / f"{cell.key}.json").write_text(text)
    assert "is damaged" in Store(tmp_path).failure(cell)


def test_a_record_that_is_there_stays(cell, tmp_path):
    store = Store(tmp_path)
    store.save(cell, Made({"values": {"a": 1.0}}), files=False)
    store.save(cell, Made({"values": {"a": 2.0}}, {"w": b"1"}), files=True)
    assert store.record(cell)["values"] == {"a": 1.0}
    assert store.has_files(cell)


def test_failures_for_good_are_records_the_others_are_not(cell, tmp_path):
    store = Store(tmp_path)
    store.save_failure(cell, "out of memory", final=False)
    assert store.record(cell) is None
    assert store.failure(cell) == "out of memory"
    store.save_failure(cell, "refused", final=True)
    assert store.record(cell)["error"] == "refused"
    assert json.loads((tmp_path / "cells" / f"{cell.key}.json").read_text())["key"] == cell.key


def test_a_result_takes_the_place_of_an_error(cell, tmp_path):
    store = Store(tmp_path)
    store.save_failure(cell, "refused", final=True)
    store.save(cell, Made({"values": {"a": 1.0}}), files=False)
    assert store.record(cell)["values"] == {"a": 1.0}
    assert "error" not in store.record(cell)


def test_files_that_another_process_made_meanwhile_stay(cell, tmp_path, monkeypatch):
    store = Store(tmp_path)
    write = type(tmp_path).write_bytes

    def overtaken(path, contents):
        monkeypatch.setattr(type(tmp_path), "write_bytes", write)
        Store(tmp_path).save(cell, Made({"values": {"a": 1.0}}, {"w": b"theirs"}), files=True)
        return write(path, contents)

    monkeypatch.setattr(type(tmp_path), "write_bytes", overtaken)
    store.save(cell, Made({"values": {"a": 2.0}}, {"w": b"mine"}), files=True)
    assert store.files(cell) == {"w": b"theirs"}
    assert store.record(cell)["values"] == {"a": 1.0}
    assert [path.name for path in (tmp_path / "files").iterdir()] == [cell.key]


def test_a_cell_is_claimed_by_one_run_at_a_time(cell, tmp_path):
    claim = Store(tmp_path).claim(cell)
    assert Store(tmp_path).claim(cell) is None
    claim.close()
    again = Store(tmp_path).claim(cell)
    assert again is not None
    again.close()
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_claim_removed_between_opening_and_locking_is_not_taken_twice(
    cell, tmp_path, monkeypatch
):
    """One run opens it, another removes it, a third makes its own; then the first one locks."""
    other, third, lock = Store(tmp_path).claim(cell), [], fcntl.flock

    def late(file, how):
        if not third:
            third.append(None)
            other.close()
            third[0] = Store(tmp_path).claim(cell)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert Store(tmp_path).claim(cell) is None
    assert third[0] is not None
    third[0].close()


def test_where_there_are_no_locks_every_run_claims_every_cell(cell, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    both = [Store(tmp_path).claim(cell) for _ in range(2)]
    assert None not in both
    for claim in both:
        claim.close()


def test_files_without_a_record_are_made_again(cell, tmp_path):
    store = Store(tmp_path)
    store.save(cell, Made({"values": {}}, {"w": b"1", "old": b"1"}), files=True)
    (tmp_path / "cells" / f"{cell.key}.json").unlink()
    store.save(cell, Made({"values": {}}, {"w": b"2"}), files=True)
    assert store.files(cell) == {"w": b"2"}


def test_what_killed_runs_left_half_written_is_removed_when_it_is_old(cell, tmp_path):
    store = Store(tmp_path)
    store.save(cell, Made({"values": {}}, {"w": b"1"}), files=True)
    folder, file = (
        tmp_path / "files" / f".{cell.key}.abc",
        tmp_path / "cells" / ".gold-1.json.7.tmp",
    )
    (tmp_path / "cells" / ".gitignore").write_text("*")
    young = tmp_path / "files" / f".{cell.key}.def"
    for place in (folder, young):
        place.mkdir()
        (place / "w").write_bytes(b"half")
    file.write_text("{")
    for path in (folder, file, tmp_path / "cells" / ".gitignore"):
        os.utime(path, (time.time() - 7200,) * 2)
    store.tidy()
    assert not folder.exists()
    assert not file.exists()
    assert (tmp_path / "cells" / ".gitignore").exists()
    assert young.exists()  # a run beside this one may be writing it
    assert store.files(cell) == {"w": b"1"}
