"""Where cells run on one machine: in this process, or in several with the cores shared fairly."""

import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import torch

from lotus_unlearning.benchmark import preflight
from lotus_unlearning.benchmark.cells import Cell, DataChoice
from lotus_unlearning.benchmark.materials import Files, Place
from lotus_unlearning.benchmark.work import Made, run
from lotus_unlearning.cores import usable_cores

Work = Callable[[Cell, Mapping[str, Files], Place], Made]
_NEEDS, _MADE = "needs", "made"


class InThisProcess:
    """One cell after another.

    Args:
        place: The device, and the folder of the data sets.
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
    with it and no other. Weights and predictions go to and fro as files: who dies while sending
    more than a pipe holds would leave the other side waiting for ever.

    Args:
        jobs: The number of processes.
        place: The device, and the folder of the data sets.
    """

    def __init__(self, jobs: int, place: Place) -> None:
        self.slots = jobs
        self._place = place
        self._pools = [self._start() for _ in range(jobs)]
        self._last: list[Future[Made] | None] = [None] * jobs
        self._folder = tempfile.TemporaryDirectory(prefix="lotus-", ignore_cleanup_errors=True)

    def submit(self, cell: Cell, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a cell in the first process that is free."""
        free = next(i for i, last in enumerate(self._last) if last is None or last.done())
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        _write(folder / _NEEDS, needs)
        words = (run, cell, self._place, folder)
        try:
            sent = self._pools[free].submit(_beside, *words)
        except BrokenProcessPool:  # this process died
            self._pools[free] = self._start()
            sent = self._pools[free].submit(_beside, *words)
        future: Future[Made] = Future()
        sent.add_done_callback(lambda done: _collect(done, folder, future))
        self._last[free] = future
        return future

    def check(self, wanted: Sequence[DataChoice]) -> None:
        """Data sets and device are there, seen from a process that will run cells."""
        self._pools[0].submit(preflight.check, wanted, self._place).result()

    def close(self) -> None:
        """End the processes; what they were doing is lost."""
        for pool, last in zip(self._pools, self._last, strict=True):
            if last is not None and not last.done():  # who is idle ends by itself, and tidies up
                for process in list((pool._processes or {}).values()):
                    process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
        self._folder.cleanup()

    def _start(self) -> ProcessPoolExecutor:
        threads = max(1, usable_cores() // self.slots)
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin, initargs=(threads,))


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one


def _beside(work: Work, cell: Cell, place: Place, folder: Path) -> Made:
    """In the process: what the cell needs is in ``folder``, and its own files are left there."""
    made = work(cell, _read(folder / _NEEDS), place)
    if not isinstance(made, Made) or not made.files:
        return made
    _write(folder / _MADE, {cell.key: made.files})
    return replace(made, files={})


def _collect(sent: "Future[Made]", folder: Path, future: "Future[Made]") -> None:
    """Give ``future`` what was sent, with the files that were left beside it."""
    try:
        made = sent.result()
        for files in _read(folder / _MADE).values():
            made = replace(made, files=files)
        future.set_result(made)
    except CancelledError:
        future.cancel()
    except Exception as error:
        future.set_exception(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, cells: Mapping[str, Files]) -> None:
    for key, files in cells.items():
        (folder / key).mkdir(parents=True)
        for name, contents in files.items():
            (folder / key / name).write_bytes(contents)


def _read(folder: Path) -> dict[str, dict[str, bytes]]:
    cells = folder.iterdir() if folder.is_dir() else ()
    return {cell.name: {f.name: f.read_bytes() for f in cell.iterdir()} for cell in cells}
