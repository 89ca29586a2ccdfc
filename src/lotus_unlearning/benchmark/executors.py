"""Where cells run on one machine: in this process, or in several with the cores shared fairly."""

import multiprocessing
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch

from lotus_unlearning.benchmark.cells import Cell
from lotus_unlearning.benchmark.work import Files, Made, Place, run
from lotus_unlearning.cores import usable_cores


class InThisProcess:
    """One cell after another.

    Args:
        place: Device and data.
    """

    slots = 1

    def __init__(self, place: Place) -> None:
        self._place = place

    def submit(self, cell: Cell, needs: Mapping[str, Files]) -> "Future[Made]":
        """Run a cell, and only then return."""
        future: Future[Made] = Future()
        try:
            future.set_result(run(cell, needs, self._place))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing to do."""


class InProcesses:
    """Several cells at once, each in a process with its share of the cores.

    Args:
        jobs: How many.
        place: Device and data.
    """

    def __init__(self, jobs: int, place: Place) -> None:
        self.slots = jobs
        self._place = place
        self._pool = self._start()

    def submit(self, cell: Cell, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a cell in a process that is free."""
        try:
            return self._pool.submit(run, cell, dict(needs), self._place)
        except BrokenProcessPool:  # a process died and took the pool with it
            self._pool = self._start()
            return self._pool.submit(run, cell, dict(needs), self._place)

    def close(self) -> None:
        """End the processes; what they were doing is lost."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        threads = max(1, usable_cores() // self.slots)
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self.slots, mp_context=spawn, initializer=_begin, initargs=(threads,)
        )


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
