"""Run jobs in the order of their needs, wherever an executor runs them, and survive failures."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Generic

from lotus_unlearning.jobs.executors import Executor
from lotus_unlearning.jobs.job import FinalError, J, Made
from lotus_unlearning.jobs.store import Keeper

ATTEMPTS = 3
"""How often a job is begun whose process dies; then it counts as failed."""
PAUSE = 1.0
"""Seconds between two looks at the jobs that another run is at."""


@dataclass
class Progress(Generic[J]):
    """How far a run is.

    Attributes:
        total: Jobs to be run, finished before or not.
        done: Jobs that are finished and have not failed.
        ran: Jobs that this run finished.
        failed: Job -> why.
        running: Jobs at work now.
    """

    total: int
    done: int = 0
    ran: int = 0
    failed: dict[J, str] = field(default_factory=dict)
    running: list[J] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Jobs that are not begun yet."""
        return self.total - self.done - len(self.failed) - len(self.running)


Watcher = Callable[[Progress[J], J | None, Made | None], None]
"""Told of every change; with the job and what it gave when one is finished."""


def order(targets: Iterable[J]) -> list[J]:
    """The targets and all they need, each once, after its needs."""
    found: dict[J, None] = {}

    def visit(job: J) -> None:
        """What a job needs comes before it."""
        for need in job.needs:
            visit(need)
        found.setdefault(job)

    for job in targets:
        visit(job)
    return list(found)


def unfinished(jobs: Iterable[J], store: Keeper[J]) -> list[J]:
    """Those without a record, and the finished ones whose deleted files they need."""
    jobs = list(jobs)
    missing = {job for job in jobs if not _is_finished(job, store)}
    failed = _failed_for_good(jobs, store)
    for job in reversed(jobs):  # what needs comes after what is needed
        if job in missing:
            missing |= {n for n in job.needs if not store.has_files(n) and n not in failed}
    return [job for job in jobs if job in missing]


def _is_finished(job: J, store: Keeper[J]) -> bool:
    """Whether it has a result, or an error that no other try would change."""
    record = store.record(job)
    return record is not None and ("error" not in record or job.fails_for_good)


def failures(targets: Iterable[J], store: Keeper[J]) -> dict[J, str]:
    """Jobs that failed, for good or the last time, and why."""
    jobs = order(targets)
    known = {job: store.failure(job) for job in jobs if not _is_finished(job, store)}
    tried = {job: error for job, error in known.items() if error is not None}
    return _failed_for_good(jobs, store) | tried


def run_all(
    targets: Iterable[J],
    store: Keeper[J],
    executor: Executor[J],
    watch: Watcher[J] = lambda *_: None,
    *,
    keep_files: bool = False,
) -> Progress[J]:
    """Run every job that is not finished; a failure stops only what depends on it.

    What another run on the same folder is at, or finished meanwhile, is not run again.

    Args:
        targets: Jobs; what they need is run, too.
        store: Where results are kept; everything in it counts as finished.
        executor: Where jobs run.
        watch: Told of every change.
        keep_files: Keep the files of all jobs, not only of those that others need.
    """
    jobs = order(targets)
    todo = unfinished(jobs, store)
    progress = Progress(total=len(jobs), failed=_failed_for_good(jobs, store))
    progress.done = len(jobs) - len(todo) - len(progress.failed)
    work = _Work(store, executor, watch, keep_files, progress, dict.fromkeys(todo))
    try:
        while work.waiting:
            work.begin()
            work.collect()
            work.give_up()
    finally:
        executor.close()
        for claim in work.claims.values():
            claim.close()
    return progress


@dataclass
class _Work(Generic[J]):
    """Jobs on their way from ``waiting`` to the store; those at work are in both."""

    store: Keeper[J]
    executor: Executor[J]
    watch: Watcher[J]
    keep_files: bool
    progress: Progress[J]
    waiting: dict[J, None]
    running: dict["Future[Made]", J] = field(default_factory=dict)
    attempts: dict[J, int] = field(default_factory=dict)
    claims: dict[J, ExitStack] = field(default_factory=dict)
    elsewhere: bool = False

    def begin(self) -> None:
        """Begin what can be begun; notes whether another run has some of it."""
        self.elsewhere = False
        for job in self._ready():
            if len(self.running) >= self.executor.slots:
                break
            if not self._claimed(job):
                self.elsewhere = True
            elif _is_there(job, self.store):
                self._found(job)
            else:
                self.store.forget_failure(job)
                self.attempts[job] = self.attempts.get(job, 0) + 1
                self._tell(job)  # in this process it is over when it is submitted
                needs = {need.key: self.store.files(need) for need in job.needs}
                self.running[self.executor.submit(job, needs)] = job
        self._tell()

    def collect(self) -> None:
        """Keep what is finished; wait for something to happen, here or elsewhere."""
        pause = PAUSE if self.elsewhere else None
        if not self.running:
            time.sleep(pause or 0)
        for future in wait(self.running, pause, return_when=FIRST_COMPLETED).done:
            job = self.running.pop(future)
            self.progress.running = list(self.running.values())
            died = isinstance(future.exception(), BrokenProcessPool)
            if not died or self.attempts[job] >= ATTEMPTS:
                self._finish(future, job)

    def give_up(self) -> None:
        """Take out what can never begin because a need failed."""
        for job in list(self.waiting):
            lost = next((need for need in job.needs if need in self.progress.failed), None)
            if lost is not None:
                text = f"needs {lost.key}, which failed"
                self.store.save_failure(job, text, final=False)
                self.progress.failed[job] = text
                self._done_with(job)

    def _ready(self) -> Iterator[J]:
        busy = set(self.running.values())
        for job in list(self.waiting):
            needs = job.needs
            blocked = any(n in self.waiting or n in self.progress.failed for n in needs)
            if job not in busy and not blocked:
                yield job

    def _claimed(self, job: J) -> bool:
        """Whether it is this run's to begin; one whose process died is still."""
        if job not in self.claims:
            claim = self.store.claim(job)
            if claim is not None:
                self.claims[job] = claim
        return job in self.claims

    def _found(self, job: J) -> None:
        """Another run finished it."""
        error = (self.store.record(job) or {}).get("error")
        if error is None:
            self.progress.done += 1
        else:
            self.progress.failed[job] = error
        self._done_with(job)

    def _finish(self, future: "Future[Made]", job: J) -> None:
        error = future.exception()
        made = None if error is not None else future.result()
        if made is not None:
            files = self.keep_files or job.keeps_files
            self.store.save(job, made, files=files)
            self.progress.done += 1
            self.progress.ran += 1
        elif error is not None:
            text = _in_words(error)
            self.store.save_failure(job, text, final=isinstance(error, FinalError))
            self.progress.failed[job] = text
        self._done_with(job)
        self.watch(self.progress, job, made)

    def _done_with(self, job: J) -> None:
        del self.waiting[job]
        claim = self.claims.pop(job, None)
        if claim is not None:
            claim.close()

    def _tell(self, *beginning: J) -> None:
        running = [*self.running.values(), *beginning]
        if running != self.progress.running:
            self.progress.running = running
            self.watch(self.progress, None, None)


def _failed_for_good(jobs: Iterable[J], store: Keeper[J]) -> dict[J, str]:
    records = {job: store.record(job) for job in jobs if _is_finished(job, store)}
    return {c: r["error"] for c, r in records.items() if r is not None and "error" in r}


def _is_there(job: J, store: Keeper[J]) -> bool:
    """Whether another run finished a job that this one was to run."""
    files = not job.keeps_files or store.has_files(job)
    return files and _is_finished(job, store)


def _in_words(error: BaseException) -> str:
    """What was meant to be read as it is, or where it happened."""
    if isinstance(error, FinalError):
        return error.reason
    if isinstance(error, ValueError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()
