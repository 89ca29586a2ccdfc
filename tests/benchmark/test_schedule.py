import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest
import small
import torch
from small import grid

from lotus_unlearning.benchmark import schedule
from lotus_unlearning.benchmark.cells import Gold, Original, Unlearning
from lotus_unlearning.benchmark.executors import InProcesses, InThisProcess
from lotus_unlearning.benchmark.materials import Place
from lotus_unlearning.benchmark.schedule import failures, order, run_all, unfinished
from lotus_unlearning.benchmark.store import Store
from lotus_unlearning.benchmark.work import Made, MethodError, _unlearned


def _measured(cell):
    golds = [{"values": {}} for _ in getattr(cell, "golds", ())]
    return {"values": {}, "golds": golds, "images": {"forget": 1, "retain": 9}}


class Fake:
    """Gives what it is told to, at once, and remembers what it was asked."""

    def __init__(self, slots=1, fails=None):
        self.slots, self.fails, self.ran, self.closed = slots, fails or {}, [], False

    def submit(self, cell, needs):
        self.ran.append(cell)
        assert needs.keys() == {need.key for need in cell.needs}
        assert all(files for files in needs.values())
        future = Future()
        error = next((e for kind, e in self.fails.items() if isinstance(cell, kind)), None)
        if error is None:
            future.set_result(Made(_measured(cell), {"model.safetensors": b"1"}))
        else:
            future.set_exception(error() if callable(error) else error)
        return future

    def close(self):
        self.closed = True


class Slow(Fake):
    """Takes a moment; is interrupted when it has run so many cells."""

    def __init__(self, stops_at=None, **more):
        super().__init__(**more)
        self.stops_at = stops_at

    def submit(self, cell, needs):
        if len(self.ran) == self.stops_at:
            raise KeyboardInterrupt
        time.sleep(0.02)
        return super().submit(cell, needs)


@pytest.fixture
def cells(tmp_path):
    return order(grid(tmp_path).cells())


def test_needs_come_before_what_needs_them(cells):
    seen = set()
    for cell in cells:
        assert set(cell.needs) <= seen
        seen.add(cell)


def test_a_finished_cell_is_never_run_again(cells, tmp_path):
    store, first, second = Store(tmp_path / "r"), Fake(), Fake()
    run_all(cells, store, first)
    progress = run_all(cells, store, second)
    assert len(first.ran) == len(cells)
    assert second.ran == []
    assert (progress.done, progress.ran) == (len(cells), 0)


def test_only_what_unfinished_cells_need_is_made_again_when_files_are_gone(cells, tmp_path):
    import shutil

    store = Store(tmp_path / "r")
    run_all(cells, store, Fake())
    shutil.rmtree(tmp_path / "r" / "files")
    assert unfinished(cells, store) == []
    lost = next(cell for cell in cells if isinstance(cell, Unlearning))
    (tmp_path / "r" / "cells" / f"{lost.key}.json").unlink()
    assert set(unfinished(cells, store)) == {lost, *lost.needs}


def test_a_failed_cell_stops_only_what_needs_it(cells, tmp_path):
    fake = Fake(fails={Gold: RuntimeError("out of memory")})
    progress = run_all(cells, Store(tmp_path / "r"), fake)
    golds = [cell for cell in cells if isinstance(cell, Gold)]
    assert {cell for cell in fake.ran if isinstance(cell, Original)}
    assert set(progress.failed) == set(cells) - {c for c in cells if isinstance(c, Original)}
    assert all("out of memory" in progress.failed[gold] for gold in golds)
    blocked = next(cell for cell in cells if isinstance(cell, Unlearning))
    assert progress.failed[blocked].startswith("needs gold-")
    assert fake.closed


def test_errors_of_the_machine_are_tried_again_by_the_next_run_those_of_the_method_not(
    cells, tmp_path
):
    store = Store(tmp_path / "r")
    run_all(cells, store, Fake(fails={Unlearning: MethodError("refused")}))
    again = Fake()
    progress = run_all(cells, store, again)
    assert again.ran == []
    assert set(progress.failed.values()) == {"refused"}
    assert len(progress.failed) == 4
    assert (progress.done, progress.left) == (len(cells) - 4, 0)
    assert failures(cells, store) == progress.failed
    other = Store(tmp_path / "s")
    run_all(cells, other, Fake(fails={Unlearning: OSError("disk full")}))
    assert len(failures(cells, other)) == 4
    again = Fake()
    assert not run_all(cells, other, again).failed
    assert len(again.ran) == 4
    assert not list((tmp_path / "s" / "failed").iterdir())
    assert not failures(cells, other)


@pytest.mark.parametrize("error", [ValueError("no such folder"), FloatingPointError("NaN")])
def test_a_model_that_could_not_be_trained_is_trained_by_the_next_run(cells, tmp_path, error):
    store = Store(tmp_path / "r")
    assert run_all(cells, store, Fake(fails={Original: error})).failed
    again = Fake()
    progress = run_all(cells, store, again)
    assert not progress.failed
    assert progress.done == len(cells)


def test_a_device_that_is_not_there_is_no_fault_of_the_method(cells):
    cell = next(cell for cell in cells if isinstance(cell, Unlearning))
    with pytest.raises(ValueError, match="cuda:99"):
        _unlearned(cell, torch.nn.Identity(), None, Place("cuda:99"))


def test_a_model_that_was_recorded_as_failed_for_good_is_trained_by_the_next_run(cells, tmp_path):
    store = Store(tmp_path / "r")
    gold = next(cell for cell in cells if isinstance(cell, Gold))
    store.save_failure(gold, "data not found", final=True)  # as earlier versions did
    assert gold in unfinished(cells, store)
    assert not run_all(cells, store, Fake()).failed
    assert "error" not in store.record(gold)


def test_cells_are_done_at_work_failed_or_left_and_never_two_of_these(cells, tmp_path):
    seen = []

    def watch(progress, cell, made):
        parts = (progress.done, len(progress.running), len(progress.failed), progress.left)
        seen.append((sum(parts), progress.left, len(progress.running)))
        assert cell not in progress.running

    fake = Fake(slots=3, fails={Unlearning: MethodError("refused")})
    progress = run_all(cells, Store(tmp_path / "r"), fake, watch)
    assert {total for total, _, _ in seen} == {len(cells)}
    assert max(at_work for _, _, at_work in seen) == 3
    assert (progress.left, progress.running) == (0, [])


def test_a_cell_whose_process_dies_is_begun_again_but_not_for_ever(cells, tmp_path):
    deaths = iter([BrokenProcessPool("died")] * 2)
    fake = Fake(fails={Original: lambda: next(deaths, None) or BrokenProcessPool("died")})
    progress = run_all(cells, Store(tmp_path / "r"), fake)
    first = fake.ran[0]
    assert fake.ran.count(first) == 3
    assert "died" in progress.failed[first]


def test_watchers_hear_of_every_cell_once(cells, tmp_path):
    heard = []
    run_all(cells, Store(tmp_path / "r"), Fake(slots=3), lambda p, c, m: heard.append((p.done, c)))
    finished = [cell for _, cell in heard if cell is not None]
    assert sorted(c.key for c in finished) == sorted(c.key for c in cells)


def test_runs_on_one_folder_share_the_cells_and_each_ends_with_all_of_them(
    cells, tmp_path, monkeypatch
):
    monkeypatch.setattr(schedule, "PAUSE", 0.01)
    fakes = [Slow(fails={Unlearning: MethodError("refused")}) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        runs = [
            threads.submit(run_all, cells, Store(tmp_path / "r"), fake, keep_predictions=True)
            for fake in fakes
        ]
    ran = [cell for fake in fakes for cell in fake.ran]
    assert sorted(c.key for c in ran) == sorted(c.key for c in cells)
    assert all(fake.ran for fake in fakes)
    for run in runs:
        assert len(run.result().failed) == 4
        assert run.result().done == len(cells) - 4


def test_an_interrupted_run_gives_back_its_claims(cells, tmp_path):
    store = Store(tmp_path / "r")
    with pytest.raises(KeyboardInterrupt):
        run_all(cells, store, Slow(stops_at=2))
    claims = [store.claim(cell) for cell in cells]
    assert None not in claims
    for claim in claims:
        claim.close()


def test_an_interrupted_run_lets_go_of_its_executor(cells, tmp_path):
    fake = Fake(fails={Original: KeyboardInterrupt()})

    def submit(cell, needs):
        raise KeyboardInterrupt

    fake.submit = submit
    with pytest.raises(KeyboardInterrupt):
        run_all(cells, Store(tmp_path / "r"), fake)
    assert fake.closed


def test_cells_in_processes_give_what_cells_in_this_process_give(tmp_path):
    cells = list(grid(tmp_path, seeds=1, methods=["finetune"]).cells())
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    assert not run_all(cells, one, InThisProcess(Place("cpu"))).failed
    executor = InProcesses(2, Place("cpu"))
    killed = []

    def kill_one(progress, cell, made):
        if progress.done == 1 and not killed:
            killed.append(next(iter(executor._pools[0]._processes)))
            os.kill(killed[0], signal.SIGKILL)

    assert not run_all(cells, two, executor, kill_one).failed
    assert killed
    for cell in cells:
        mine, theirs = one.record(cell), two.record(cell)
        assert mine["values"].keys() == theirs["values"].keys()
        for name, value in mine["values"].items():
            assert value == pytest.approx(theirs["values"][name], abs=1e-3), name


def test_a_process_that_dies_takes_no_cell_but_its_own(monkeypatch):
    monkeypatch.setattr("lotus_unlearning.benchmark.executors.run", small.sleep)
    executor = InProcesses(2, Place("cpu"))
    try:
        long, short = executor.submit(60, {}), executor.submit(1, {})
        os.kill(next(iter(executor._pools[0]._processes)), signal.SIGKILL)
        assert isinstance(long.exception(timeout=60), BrokenProcessPool)
        assert short.result(timeout=60) == 1
        assert executor.submit(0, {}).result(timeout=60) == 0  # by a new process
    finally:
        executor.close()


def test_a_process_that_dies_while_it_answers_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr("lotus_unlearning.benchmark.executors.run", small.dies_with_much_to_say)
    executor = InProcesses(1, Place("cpu"))
    try:
        future = executor.submit(0, {"much": {"needed": bytes(10_000_000)}})
        assert isinstance(future.exception(timeout=60), BrokenProcessPool)
    finally:
        executor.close()


def test_files_go_to_and_fro(monkeypatch):
    monkeypatch.setattr("lotus_unlearning.benchmark.executors.run", small.turns_round)
    executor = InProcesses(1, Place("cpu"))
    try:
        made = executor.submit(small.Named("a"), {"b": {"one": b"12", "two": bytes(200_000)}})
        assert made.result(timeout=60).files == {"one": b"21", "two": bytes(200_000)}
        assert made.result().record == {"needed": ["b"]}
    finally:
        executor.close()
