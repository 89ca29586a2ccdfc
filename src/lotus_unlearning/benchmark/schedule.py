"""Run cells in the order of their needs, wherever an executor runs them, and survive failures."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from lotus_unlearning.benchmark.cells import Cell, Gold, Original, Unlearning
from lotus_unlearning.benchmark.materials import Files
from lotus_unlearning.benchmark.store import Store
from lotus_unlearning.benchmark.work import Made, MethodError

ATTEMPTS = 3
"""How often a cell is begun whose process dies; then it counts as failed."""
PAUSE = 1.0
"""Seconds between two looks at the cells that another run is at."""


class Executor(Protocol):
    """Runs cells somewhere."""

    @property
    def slots(self) -> int:
        """How many cells can run at once."""

    def submit(self, cell: Cell, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a cell."""

    def close(self) -> None:
        """Let go of everything; cells that run are given up."""


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        total: The number of cells to be run, finished before or not.
        done: The number of cells that are finished and have not failed.
        ran: The number of cells that this run finished.
        failed: Each cell that failed -> why.
        running: The cells at work now.
    """

    total: int
    done: int = 0
    ran: int = 0
    failed: dict[Cell, str] = field(default_factory=dict)
    running: list[Cell] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Cells that are not begun yet."""
        return self.total - self.done - len(self.failed) - len(self.running)


Watcher = Callable[[Progress, Cell | None, Made | None], None]
"""Told of every change; with the cell and what it gave when one is finished."""


def order(targets: Iterable[Cell]) -> list[Cell]:
    """The targets and all they need, each once, after its needs."""
    found: dict[Cell, None] = {}

    def visit(cell: Cell) -> None:
        for need in cell.needs:
            visit(need)
        found.setdefault(cell)

    for cell in targets:
        visit(cell)
    return list(found)


def unfinished(cells: Iterable[Cell], store: Store) -> list[Cell]:
    """Those without a record, and the finished ones whose deleted files they need."""
    cells = list(cells)
    missing = {cell for cell in cells if not _is_finished(cell, store)}
    for cell in reversed(cells):  # what needs comes after what is needed
        if cell in missing:
            missing |= {need for need in cell.needs if not store.has_files(need)}
    return [cell for cell in cells if cell in missing]


def _is_finished(cell: Cell, store: Store) -> bool:
    """Only methods fail for good: models that were not trained are tried again."""
    record = store.record(cell)
    return record is not None and ("error" not in record or isinstance(cell, Unlearning))


def failures(targets: Iterable[Cell], store: Store) -> dict[Cell, str]:
    """Cells that failed, for good or the last time, and why."""
    cells = order(targets)
    known = {c: store.failure(c) for c in cells if not _is_finished(c, store)}
    tried = {cell: error for cell, error in known.items() if error is not None}
    return _failed_for_good(cells, store) | tried


def run_all(
    targets: Iterable[Cell],
    store: Store,
    executor: Executor,
    watch: Watcher = lambda *_: None,
    *,
    keep_predictions: bool = False,
) -> Progress:
    """Run every cell that is not finished; a failure stops only what depends on it.

    What another run on the same folder is at, or finished meanwhile, is not run again.

    Args:
        targets: The cells that are wanted; what they need is run, too.
        store: The store of results; everything in it counts as finished.
        executor: The place where cells run.
        watch: A function that is told of every change.
        keep_predictions: Whether predictions of unlearned models are kept, too.
    """
    cells = order(targets)
    todo = unfinished(cells, store)
    progress = Progress(total=len(cells), failed=_failed_for_good(cells, store))
    progress.done = len(cells) - len(todo) - len(progress.failed)
    work = _Work(store, executor, watch, keep_predictions, progress, dict.fromkeys(todo))
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
class _Work:
    """Cells on their way from ``waiting`` to the store; those at work are in both."""

    store: Store
    executor: Executor
    watch: Watcher
    keep_predictions: bool
    progress: Progress
    waiting: dict[Cell, None]
    running: dict["Future[Made]", Cell] = field(default_factory=dict)
    attempts: dict[Cell, int] = field(default_factory=dict)
    claims: dict[Cell, ExitStack] = field(default_factory=dict)
    elsewhere: bool = False

    def begin(self) -> None:
        """Begin what can be begun; notes whether another run has some of it."""
        self.elsewhere = False
        for cell in self._ready():
            if len(self.running) >= self.executor.slots:
                break
            if not self._claimed(cell):
                self.elsewhere = True
            elif _is_there(cell, self.store):
                self._found(cell)
            else:
                self.store.forget_failure(cell)
                self.attempts[cell] = self.attempts.get(cell, 0) + 1
                needs = {need.key: self.store.files(need) for need in cell.needs}
                self.running[self.executor.submit(cell, needs)] = cell
        self._tell()

    def collect(self) -> None:
        """Keep what is finished; wait for something to happen, here or elsewhere."""
        pause = PAUSE if self.elsewhere else None
        if not self.running:
            time.sleep(pause or 0)
        for future in wait(self.running, pause, return_when=FIRST_COMPLETED).done:
            cell = self.running.pop(future)
            self.progress.running = list(self.running.values())
            died = isinstance(future.exception(), BrokenProcessPool)
            if not died or self.attempts[cell] >= ATTEMPTS:
                self._finish(future, cell)

    def give_up(self) -> None:
        """Take out what can never begin because a need failed."""
        for cell in list(self.waiting):
            lost = next((need for need in cell.needs if need in self.progress.failed), None)
            if lost is not None:
                text = f"needs {lost.key}, which failed"
                self.store.save_failure(cell, text, final=False)
                self.progress.failed[cell] = text
                self._done_with(cell)

    def _ready(self) -> Iterator[Cell]:
        busy = set(self.running.values())
        for cell in list(self.waiting):
            needs = cell.needs
            blocked = any(n in self.waiting or n in self.progress.failed for n in needs)
            if cell not in busy and not blocked:
                yield cell

    def _claimed(self, cell: Cell) -> bool:
        """Whether it is this run's to begin; one whose process died is still."""
        if cell not in self.claims:
            claim = self.store.claim(cell)
            if claim is not None:
                self.claims[cell] = claim
        return cell in self.claims

    def _found(self, cell: Cell) -> None:
        """Another run finished it."""
        error = (self.store.record(cell) or {}).get("error")
        if error is None:
            self.progress.done += 1
        else:
            self.progress.failed[cell] = error
        self._done_with(cell)

    def _finish(self, future: "Future[Made]", cell: Cell) -> None:
        error = future.exception()
        made = None if error is not None else future.result()
        if made is not None:
            files = self.keep_predictions or isinstance(cell, Original | Gold)
            self.store.save(cell, made, files=files)
            self.progress.done += 1
            self.progress.ran += 1
        elif error is not None:
            # a method's own errors come again on every try; others (memory, disk, data) may not
            text = _in_words(error)
            self.store.save_failure(cell, text, final=isinstance(error, MethodError))
            self.progress.failed[cell] = text
        self._done_with(cell)
        self.watch(self.progress, cell, made)

    def _done_with(self, cell: Cell) -> None:
        del self.waiting[cell]
        claim = self.claims.pop(cell, None)
        if claim is not None:
            claim.close()

    def _tell(self) -> None:
        running = list(self.running.values())
        if running != self.progress.running:
            self.progress.running = running
            self.watch(self.progress, None, None)


def _failed_for_good(cells: Iterable[Cell], store: Store) -> dict[Cell, str]:
    records = {cell: store.record(cell) for cell in cells if _is_finished(cell, store)}
    return {c: r["error"] for c, r in records.items() if r is not None and "error" in r}


def _is_there(cell: Cell, store: Store) -> bool:
    """Whether another run finished a cell that this one was to run."""
    files = not isinstance(cell, Original | Gold) or store.has_files(cell)
    return files and _is_finished(cell, store)


def _in_words(error: BaseException) -> str:
    """What was meant to be read as it is, or where it happened."""
    if isinstance(error, MethodError):
        return error.reason
    if isinstance(error, ValueError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()
