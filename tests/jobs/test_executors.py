"""Jobs in processes, some of which die."""

import os
import pickle
import signal
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial

import pytest
import torch
import toys

from lotus_unlearning.jobs.executors import InProcesses, InThisProcess
from lotus_unlearning.jobs.job import FinalError

MUCH = bytes(10_000_000)
"""More than a pipe holds."""


def test_a_process_that_dies_takes_no_job_but_its_own():
    with closing(InProcesses(2, toys.sleep)) as executor:
        long, short = executor.submit(60, {}), executor.submit(1, {})
        os.kill(next(iter(executor._pools[0]._processes)), signal.SIGKILL)
        assert isinstance(long.exception(timeout=60), BrokenProcessPool)
        assert short.result(timeout=60) == 1
        assert executor.submit(0, {}).result(timeout=60) == 0  # by a new process


def test_a_process_that_dies_while_it_answers_keeps_nobody_waiting():
    with closing(InProcesses(1, partial(toys.dies, much=MUCH))) as executor:
        future = executor.submit(MUCH, {"much": {"needed": MUCH}})
        assert isinstance(future.exception(timeout=60), BrokenProcessPool)


def test_files_go_to_and_fro():
    with closing(InProcesses(1, toys.turns_round)) as executor:
        made = executor.submit("a", {"b": {"one": b"12", "two": bytes(200_000)}})
        assert made.result(timeout=60).files == {"one": b"21", "two": bytes(200_000)}
        assert made.result().record == {"needed": ["b"]}


def test_what_is_large_is_written_once_for_all_jobs_and_processes():
    toys.Counted.written = 0
    with closing(InProcesses(2, toys.Counted())) as executor:
        both = [executor.submit(job, {}) for job in "ab"]
        made = [future.result(timeout=60) for future in both]
        assert len({one.record["process"] for one in made}) == 2
        executor.submit("c", {}).result(timeout=60)
        assert toys.Counted.written == 1


def test_processes_share_the_tensors_of_the_work():
    """Each maps the same file; what one of them writes, the others do not see."""
    with closing(InProcesses(2, partial(toys.adds, to=torch.zeros(1000)))) as executor:
        both = [executor.submit(1, {}), executor.submit(2, {})]
        found = [future.result(timeout=60).record for future in both]
        assert [one["sum"] for one in found] == [1000, 2000]
        assert all(one["is_mapped"] for one in found)


def test_work_that_cannot_be_sent_is_refused_before_any_job():
    with pytest.raises(ValueError, match="jobs: expected models and data that other processes"):
        InProcesses(2, lambda job, needs: job)


def test_a_job_that_cannot_be_sent_fails_alone():
    with closing(InProcesses(1, toys.sleep)) as executor:
        error = executor.submit(lambda: None, {}).exception(timeout=60)
        assert isinstance(error, pickle.PicklingError | AttributeError)
        assert executor.submit(0, {}).result(timeout=60) == 0


@pytest.mark.parametrize("executor", [InThisProcess, partial(InProcesses, 1)])
def test_errors_come_back_as_they_are(executor):
    with closing(executor(toys.refuses)) as made:
        error = made.submit("a", {}).exception(timeout=60)
        assert isinstance(error, FinalError)
        assert error.reason == "refused"
        assert made.call(partial(int, "3")) == 3
        with pytest.raises(ValueError, match="invalid literal"):
            made.call(partial(int, "x"))
