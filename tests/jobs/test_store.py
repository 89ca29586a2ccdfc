import errno
import fcntl
import json
import os
import time

import pytest
from toys import Toy

from lotus_unlearning.jobs.job import Made
from lotus_unlearning.jobs.store import Store


@pytest.fixture
def job():
    return Toy("original", 1)


def test_a_record_says_what_it_is_of(job, tmp_path):
    store = Store(tmp_path)
    store.save(job, Made({"values": {"a": 1.0}}, {"w": b"12"}), files=True)
    record = store.record(job)
    assert record["values"] == {"a": 1.0}
    assert {**record, **job.heading} == record
    assert store.files(job) == {"w": b"12"}


def test_a_job_is_not_finished_before_its_files_are_there(job, tmp_path, monkeypatch):
    store = Store(tmp_path)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Store, "_save_files", broken)
    with pytest.raises(OSError, match="disk full"):
        store.save(job, Made({"values": {}}, {"w": b"12"}), files=True)
    assert store.record(job) is None


def test_nothing_is_left_of_a_save_that_breaks_off(job, tmp_path, monkeypatch):
    store = Store(tmp_path)

    def broken(self, contents):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_bytes", broken)
    with pytest.raises(OSError, match="disk full"):
        store.save(job, Made({"values": {}}, {"w": b"12"}), files=True)
    assert list((tmp_path / "files").iterdir()) == []


def test_a_damaged_record_is_named_and_not_overwritten(job, tmp_path):
    store = Store(tmp_path)
    store.save(job, Made({"values": {}}), files=False)
    path = tmp_path / "cells" / f"{job.key}.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(ValueError, match=f"{job.key}.json: expected a toy"):
        store.record(job)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"error": 3}', '{"error": ""}'])
def test_a_failure_that_cannot_be_read_is_one_all_the_same(job, tmp_path, text):
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / f"{job.key}.json").write_text(text)
    assert "is damaged" in Store(tmp_path).failure(job)


def test_a_record_that_is_there_stays(job, tmp_path):
    store = Store(tmp_path)
    store.save(job, Made({"values": {"a": 1.0}}), files=False)
    store.save(job, Made({"values": {"a": 2.0}}, {"w": b"1"}), files=True)
    assert store.record(job)["values"] == {"a": 1.0}
    assert store.has_files(job)


def test_failures_for_good_are_records_the_others_are_not(job, tmp_path):
    store = Store(tmp_path)
    store.save_failure(job, "out of memory", final=False)
    assert store.record(job) is None
    assert store.failure(job) == "out of memory"
    store.save_failure(job, "refused", final=True)
    assert store.record(job)["error"] == "refused"
    assert json.loads((tmp_path / "cells" / f"{job.key}.json").read_text())["key"] == job.key


def test_a_result_takes_the_place_of_an_error(job, tmp_path):
    store = Store(tmp_path)
    store.save_failure(job, "refused", final=True)
    store.save(job, Made({"values": {"a": 1.0}}), files=False)
    assert store.record(job)["values"] == {"a": 1.0}
    assert "error" not in store.record(job)


def test_files_that_another_process_made_meanwhile_stay(job, tmp_path, monkeypatch):
    store = Store(tmp_path)
    write = type(tmp_path).write_bytes

    def overtaken(path, contents):
        monkeypatch.setattr(type(tmp_path), "write_bytes", write)
        Store(tmp_path).save(job, Made({"values": {"a": 1.0}}, {"w": b"theirs"}), files=True)
        return write(path, contents)

    monkeypatch.setattr(type(tmp_path), "write_bytes", overtaken)
    store.save(job, Made({"values": {"a": 2.0}}, {"w": b"mine"}), files=True)
    assert store.files(job) == {"w": b"theirs"}
    assert store.record(job)["values"] == {"a": 1.0}
    assert [path.name for path in (tmp_path / "files").iterdir()] == [job.key]


def test_a_job_is_claimed_by_one_run_at_a_time(job, tmp_path):
    claim = Store(tmp_path).claim(job)
    assert Store(tmp_path).claim(job) is None
    claim.close()
    again = Store(tmp_path).claim(job)
    assert again is not None
    again.close()
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_claim_removed_between_opening_and_locking_is_not_taken_twice(job, tmp_path, monkeypatch):
    """One run opens it, another removes it, a third makes its own; then the first one locks."""
    other, third, lock = Store(tmp_path).claim(job), [], fcntl.flock

    def late(file, how):
        if not third:
            third.append(None)
            other.close()
            third[0] = Store(tmp_path).claim(job)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert Store(tmp_path).claim(job) is None
    assert third[0] is not None
    third[0].close()


def test_where_there_are_no_locks_every_run_claims_every_job(job, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    both = [Store(tmp_path).claim(job) for _ in range(2)]
    assert None not in both
    for claim in both:
        claim.close()


def test_files_without_a_record_are_made_again(job, tmp_path):
    store = Store(tmp_path)
    store.save(job, Made({"values": {}}, {"w": b"1", "old": b"1"}), files=True)
    (tmp_path / "cells" / f"{job.key}.json").unlink()
    store.save(job, Made({"values": {}}, {"w": b"2"}), files=True)
    assert store.files(job) == {"w": b"2"}


def test_what_killed_runs_left_half_written_is_removed_when_it_is_old(job, tmp_path):
    store = Store(tmp_path)
    store.save(job, Made({"values": {}}, {"w": b"1"}), files=True)
    folder, file = (
        tmp_path / "files" / f".{job.key}.abc",
        tmp_path / "cells" / ".gold-1.json.7.tmp",
    )
    (tmp_path / "cells" / ".gitignore").write_text("*")
    young = tmp_path / "files" / f".{job.key}.def"
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
    assert store.files(job) == {"w": b"1"}
