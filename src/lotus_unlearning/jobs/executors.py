"""Where jobs run on one machine: in this process, or in several with the cores shared fairly."""

import multiprocessing
import pickle
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from lotus_unlearning.cores import usable_cores
from lotus_unlearning.jobs.job import Files, J, J_contra, Made, Work

_WORK, _ASKED, _MADE = "work", "asked", "made"
T = TypeVar("T")


class Executor(Protocol[J_contra]):
    """Runs jobs somewhere."""

    @property
    def slots(self) -> int:
        """How many jobs can run at once."""

    def submit(self, job: J_contra, needs: Mapping[str, Files], /) -> "Future[Made]":
        """Begin a job.

        Args:
            job: Which.
            needs: Key of each of its needs -> files.
        """

    def call(self, function: Callable[[], T], /) -> T:
        """Run a function where jobs run, wait for it, and give or raise what it does."""

    def close(self) -> None:
        """Let go of everything; jobs that run are given up."""


class InThisProcess(Generic[J]):
    """One job after another.

    Args:
        work: Does a job.
    """

    slots = 1

    def __init__(self, work: Work[J]) -> None:
        self._work = work

    def submit(self, job: J, needs: Mapping[str, Files]) -> "Future[Made]":
        """Run a job, and only then return."""
        future: Future[Made] = Future()
        try:
            future.set_result(self._work(job, needs))
        except Exception as error:
            future.set_exception(error)
        return future

    def call(self, function: Callable[[], T]) -> T:
        """Call it."""
        return function()

    def close(self) -> None:
        """Nothing to do."""


class InProcesses(Generic[J]):
    """Several jobs at once, each in a process with its share of the cores.

    Each process is a pool of its own: one that dies (of too little memory, say) takes its own job
    with it and no other. Work, jobs and what they give go to and fro as files: who dies while
    sending more than a pipe holds would leave the other side waiting for ever. The work is written
    once, and read once by each process; the tensors in it stay in that file, which all share.

    Args:
        jobs: How many.
        work: Does a job.

    Raises:
        ValueError: If the work cannot be sent to another process.
    """

    def __init__(self, jobs: int, work: Work[J]) -> None:
        self.slots = jobs
        self._pools = [self._start() for _ in range(jobs)]
        self._last: list[Future[Made] | None] = [None] * jobs
        self._temporary = tempfile.TemporaryDirectory(prefix="lotus-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        try:
            torch.save(work, self._folder / _WORK)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self.close()
            raise ValueError(
                "jobs: expected models and data that other processes can read, whose classes are "
                f"at the top of a module; got some that they cannot ({error}); use one process"
            ) from None

    def submit(self, job: J, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a job in the first process that is free."""
        future: Future[Made] = Future()
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            _write(folder / _ASKED, (job, needs))
        except Exception as error:
            future.set_exception(error)
            return future
        free = next(i for i, last in enumerate(self._last) if last is None or last.done())
        sent = self._send(free, _run, self._folder / _WORK, folder)
        sent.add_done_callback(lambda done: _collect(done, folder, future))
        self._last[free] = future
        return future

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in a process that will run jobs."""
        found: T = self._send(0, _call, function).result()
        return found

    def close(self) -> None:
        """End the processes; what they were doing is lost."""
        for pool, last in zip(self._pools, self._last, strict=True):
            if last is not None and not last.done():  # who is idle ends by itself, and tidies up
                for process in list((pool._processes or {}).values()):
                    process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
        self._temporary.cleanup()

    def _send(self, to: int, function: Callable[..., T], *words: object) -> "Future[T]":
        try:
            return self._pools[to].submit(function, *words)
        except BrokenProcessPool:  # this process died
            self._pools[to] = self._start()
            return self._pools[to].submit(function, *words)

    def _start(self) -> ProcessPoolExecutor:
        threads = max(1, usable_cores() // self.slots)
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin, initargs=(threads,))


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one


def _call(function: Callable[[], T]) -> T:
    return function()


def _run(work: Path, folder: Path) -> None:
    """In the process: what is asked for is in ``folder``, and what was made is left there."""
    job, needs = _read(folder / _ASKED)
    _write(folder / _MADE, _work(work)(job, needs))


def _collect(sent: "Future[None]", folder: Path, future: "Future[Made]") -> None:
    """Give ``future`` what was made, once it is there."""
    try:
        sent.result()
        future.set_result(_read(folder / _MADE))
    except CancelledError:
        future.cancel()
    except Exception as error:
        future.set_exception(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _work(path: Path) -> Work[Any]:
    """What the process that began this one wrote, in a folder that only its user may enter.

    It is what :mod:`multiprocessing` sends through a pipe, in a file: nothing that anybody hands in
    is read so, and the folder is gone with the run.
    """
    found: Work[Any] = torch.load(path, mmap=True, weights_only=False)
    return found


def _write(path: Path, value: object) -> None:
    with path.open("wb") as file:
        pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)


def _read(path: Path) -> Any:
    """As :func:`_work`."""
    with path.open("rb") as file:
        return pickle.load(file)
