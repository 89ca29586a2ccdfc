import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest
from toys import Toy, of_kind, toys

from lotus_unlearning.jobs import schedule
from lotus_unlearning.jobs.job import FinalError, Made
from lotus_unlearning.jobs.schedule import failures, order, run_all, unfinished
from lotus_unlearning.jobs.store import Store


class Fake:
    """Gives what it is told to, at once, and remembers what it was asked."""

    def __init__(self, slots=1, fails=None):
        self.slots, self.fails, self.ran, self.closed = slots, fails or {}, [], False

    def submit(self, job, needs):
        self.ran.append(job)
        assert needs.keys() == {need.key for need in job.needs}
        assert all(files for files in needs.values())
        future = Future()
        error = self.fails.get(job.kind)
        if error is None:
            future.set_result(Made({"values": {}}, {"model.safetensors": b"1"}))
        else:
            future.set_exception(error() if callable(error) else error)
        return future

    def close(self):
        self.closed = True


class Slow(Fake):
    """Takes a moment; is interrupted when it has run so many jobs."""

    def __init__(self, stops_at=None, **more):
        super().__init__(**more)
        self.stops_at = stops_at

    def submit(self, job, needs):
        if len(self.ran) == self.stops_at:
            raise KeyboardInterrupt
        time.sleep(0.02)
        return super().submit(job, needs)


@pytest.fixture
def jobs():
    return order(toys())


def test_needs_come_before_what_needs_them(jobs):
    seen = set()
    for job in jobs:
        assert set(job.needs) <= seen
        seen.add(job)


def test_a_finished_job_is_never_run_again(jobs, tmp_path):
    store, first, second = Store(tmp_path / "r"), Fake(), Fake()
    run_all(jobs, store, first)
    progress = run_all(jobs, store, second)
    assert len(first.ran) == len(jobs)
    assert second.ran == []
    assert (progress.done, progress.ran) == (len(jobs), 0)


def test_only_what_unfinished_jobs_need_is_made_again_when_files_are_gone(jobs, tmp_path):
    import shutil

    store = Store(tmp_path / "r")
    run_all(jobs, store, Fake())
    shutil.rmtree(tmp_path / "r" / "files")
    assert unfinished(jobs, store) == []
    lost = of_kind("method", jobs)[0]
    (tmp_path / "r" / "cells" / f"{lost.key}.json").unlink()
    assert set(unfinished(jobs, store)) == {lost, *lost.needs}


def test_a_failed_job_stops_only_what_needs_it(jobs, tmp_path):
    fake = Fake(fails={"gold": RuntimeError("out of memory")})
    progress = run_all(jobs, Store(tmp_path / "r"), fake)
    golds = of_kind("gold", jobs)
    assert of_kind("original", fake.ran)
    assert set(progress.failed) == set(jobs) - set(of_kind("original", jobs))
    assert all("out of memory" in progress.failed[gold] for gold in golds)
    blocked = of_kind("method", jobs)[0]
    assert progress.failed[blocked].startswith("needs gold-")
    assert fake.closed


def test_errors_of_the_machine_are_tried_again_by_the_next_run_final_ones_not(jobs, tmp_path):
    store = Store(tmp_path / "r")
    run_all(jobs, store, Fake(fails={"method": FinalError("refused")}))
    again = Fake()
    progress = run_all(jobs, store, again)
    assert again.ran == []
    assert set(progress.failed.values()) == {"refused"}
    assert len(progress.failed) == 4
    assert (progress.done, progress.left) == (len(jobs) - 4, 0)
    assert failures(jobs, store) == progress.failed
    other = Store(tmp_path / "s")
    run_all(jobs, other, Fake(fails={"method": OSError("disk full")}))
    assert len(failures(jobs, other)) == 4
    again = Fake()
    assert not run_all(jobs, other, again).failed
    assert len(again.ran) == 4
    assert not list((tmp_path / "s" / "failed").iterdir())
    assert not failures(jobs, other)


@pytest.mark.parametrize("error", [ValueError("no such folder"), FloatingPointError("NaN")])
def test_a_job_that_failed_is_tried_again_by_the_next_run(jobs, tmp_path, error):
    store = Store(tmp_path / "r")
    assert run_all(jobs, store, Fake(fails={"original": error})).failed
    again = Fake()
    progress = run_all(jobs, store, again)
    assert not progress.failed
    assert progress.done == len(jobs)


def test_a_job_that_never_fails_for_good_is_tried_again_though_it_was_recorded_so(jobs, tmp_path):
    store = Store(tmp_path / "r")
    gold = of_kind("gold", jobs)[0]
    store.save_failure(gold, "data not found", final=True)
    assert gold in unfinished(jobs, store)
    assert not run_all(jobs, store, Fake()).failed
    assert "error" not in store.record(gold)


def test_jobs_are_done_at_work_failed_or_left_and_never_two_of_these(jobs, tmp_path):
    seen = []

    def watch(progress, job, made):
        parts = (progress.done, len(progress.running), len(progress.failed), progress.left)
        seen.append((sum(parts), progress.left, len(progress.running)))
        assert job not in progress.running

    fake = Fake(slots=3, fails={"method": FinalError("refused")})
    progress = run_all(jobs, Store(tmp_path / "r"), fake, watch)
    assert {total for total, _, _ in seen} == {len(jobs)}
    assert max(at_work for _, _, at_work in seen) == 3
    assert (progress.left, progress.running) == (0, [])


def test_a_job_whose_process_dies_is_begun_again_but_not_for_ever(jobs, tmp_path):
    deaths = iter([BrokenProcessPool("died")] * 2)
    fake = Fake(fails={"original": lambda: next(deaths, None) or BrokenProcessPool("died")})
    progress = run_all(jobs, Store(tmp_path / "r"), fake)
    first = fake.ran[0]
    assert fake.ran.count(first) == 3
    assert "died" in progress.failed[first]


def test_watchers_hear_of_every_job_once(jobs, tmp_path):
    heard = []
    run_all(jobs, Store(tmp_path / "r"), Fake(slots=3), lambda p, c, m: heard.append((p.done, c)))
    finished = [job for _, job in heard if job is not None]
    assert sorted(c.key for c in finished) == sorted(c.key for c in jobs)


def test_runs_on_one_folder_share_the_jobs_and_each_ends_with_all_of_them(
    jobs, tmp_path, monkeypatch
):
    monkeypatch.setattr(schedule, "PAUSE", 0.01)
    fakes = [Slow(fails={"method": FinalError("refused")}) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        runs = [
            threads.submit(run_all, jobs, Store(tmp_path / "r"), fake, keep_files=True)
            for fake in fakes
        ]
    ran = [job for fake in fakes for job in fake.ran]
    assert sorted(c.key for c in ran) == sorted(c.key for c in jobs)
    assert all(fake.ran for fake in fakes)
    for run in runs:
        assert len(run.result().failed) == 4
        assert run.result().done == len(jobs) - 4


def test_an_interrupted_run_gives_back_its_claims(jobs, tmp_path):
    store = Store(tmp_path / "r")
    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, store, Slow(stops_at=2))
    claims = [store.claim(job) for job in jobs]
    assert None not in claims
    for claim in claims:
        claim.close()


def test_an_interrupted_run_lets_go_of_its_executor(jobs, tmp_path):
    fake = Fake(fails={"original": KeyboardInterrupt()})

    def submit(job, needs):
        raise KeyboardInterrupt

    fake.submit = submit
    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, Store(tmp_path / "r"), fake)
    assert fake.closed


def test_a_need_that_failed_for_good_is_not_begun_again_and_counts_once(tmp_path):
    stubborn = Toy("method", 0)  # fails for good
    keeps = KeepsFiles("gold", 0)
    store = Store(tmp_path / "r")
    first = run_all([keeps], store, Fake(fails={"gold": FinalError("never")}))
    assert first.failed == {keeps: "never"}
    user = Toy("comparison", 0, (keeps, stubborn))
    again = Fake()
    progress = run_all([user], store, again)
    assert keeps not in again.ran
    assert user not in again.ran
    assert progress.failed.keys() == {keeps, user}
    assert (progress.done, progress.total) == (1, 3)


def test_watchers_hear_of_a_job_before_it_runs(tmp_path):
    heard, fake = [], Fake()

    def watch(progress, job, made):
        heard.append((list(progress.running), job, len(fake.ran)))

    run_all([Toy("gold", 0)], Store(tmp_path / "r"), fake, watch)
    running, job, ran = heard[0]
    assert [one.key for one in running] == ["gold-0"]
    assert (job, ran) == (None, 0)


class KeepsFiles(Toy):
    """Others need its files, and no other try would change that it failed."""

    fails_for_good = True
