"""Where cells run on one machine: in this process, or in several with the cores shared fairly."""

import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch

from lotus_unlearning.benchmark import preflight
from lotus_unlearning.benchmark.cells import Cell, DataChoice
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

    def check(self, wanted: Sequence[DataChoice]) -> None:
        """Data sets and device are there; see :func:`preflight.check`."""
        preflight.check(wanted, self._place)

    def close(self) -> None:
        """Nothing to do."""


class InProcesses:
    """Several cells at once, each in a process with its share of the cores.

    Each process is a pool of its own: one that dies (of too little memory, say) takes its own cell
    with it and no other.

    Args:
        jobs: How many.
        place: Device and data.
    """

    def __init__(self, jobs: int, place: Place) -> None:
        self.slots = jobs
        self._place = place
        self._pools = [self._start() for _ in range(jobs)]
        self._last: list[Future[Made] | None] = [None] * jobs

    def submit(self, cell: Cell, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a cell in the first process that is free."""
        free = next(i for i, last in enumerate(self._last) if last is None or last.done())
        try:
            future = self._pools[free].submit(run, cell, dict(needs), self._place)
        except BrokenProcessPool:  # this process died
            self._pools[free] = self._start()
            future = self._pools[free].submit(run, cell, dict(needs), self._place)
        self._last[free] = future
        return future

    def check(self, wanted: Sequence[DataChoice]) -> None:
        """Data sets and device are there, seen from a process that will run cells."""
        self._pools[0].submit(preflight.check, wanted, self._place).result()

    def close(self) -> None:
        """End the processes; what they were doing is lost."""
        for pool in self._pools:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        threads = max(1, usable_cores() // self.slots)
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin, initargs=(threads,))


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
