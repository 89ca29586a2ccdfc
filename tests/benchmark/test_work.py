"""A cell is one job, wherever it runs."""

import os
import signal
from functools import partial

import numpy as np
import pytest
import torch
from small import grid

from lotus_unlearning.benchmark.cells import Gold, Original, Unlearning
from lotus_unlearning.benchmark.materials import Place, predictions
from lotus_unlearning.benchmark.work import _unlearned, run
from lotus_unlearning.jobs.executors import InProcesses, InThisProcess
from lotus_unlearning.jobs.packing import PREDICTIONS, zipped
from lotus_unlearning.jobs.schedule import order, run_all
from lotus_unlearning.jobs.store import Store

WORK = partial(run, place=Place("cpu"))


def test_a_device_that_is_not_there_is_no_fault_of_the_method(tmp_path):
    cell = next(cell for cell in grid(tmp_path).cells() if isinstance(cell, Unlearning))
    with pytest.raises(ValueError, match="cuda:99"):
        _unlearned(cell, torch.nn.Identity(), None, Place("cuda:99"))


def test_cells_that_train_or_measure_never_fail_for_good(tmp_path):
    """Only a method says the same again; earlier versions recorded other failures, too."""
    for cell in order(grid(tmp_path).cells()):
        assert cell.fails_for_good == isinstance(cell, Unlearning)
        assert cell.keeps_files == isinstance(cell, Original | Gold)


def test_cells_in_processes_give_what_cells_in_this_process_give(tmp_path):
    cells = list(grid(tmp_path, seeds=1, methods=["finetune"]).cells())
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    assert not run_all(cells, one, InThisProcess(WORK)).failed
    executor = InProcesses(2, WORK)
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


def test_predictions_that_would_unpack_to_more_than_their_file_are_refused():
    zeros = {"train": np.zeros((1000, 100), np.float32)}
    assert predictions({PREDICTIONS: zipped(zeros)})["train"].shape == (1000, 100)
    with pytest.raises(ValueError, match=r"bytes would become 400,128, not .* at most"):
        predictions({PREDICTIONS: zipped(zeros, compressed=True)})
