"""Run cells in the order of their needs, wherever an executor runs them, and survive failures."""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Protocol

from lotus_unlearning.benchmark.cells import Cell, Gold, Original, Unlearning
from lotus_unlearning.benchmark.store import Store
from lotus_unlearning.benchmark.work import Files, Made, MethodError

ATTEMPTS = 3
"""How often a cell is begun whose process dies; then it counts as failed."""


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
        total: Cells to be run, finished before or not.
        done: Cells that are finished and have not failed.
        ran: Cells that this run finished.
        failed: Cell -> why.
        running: Cells at work now.
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

    Args:
        targets: Cells; what they need is run, too.
        store: Where results are kept; everything in it counts as finished.
        executor: Where cells run.
        watch: Told of every change.
        keep_predictions: Keep the predictions of unlearned models, too.
    """
    cells = order(targets)
    todo = unfinished(cells, store)
    progress = Progress(total=len(cells), failed=_failed_for_good(cells, store))
    progress.done = len(cells) - len(todo) - len(progress.failed)
    waiting = dict.fromkeys(todo)
    running: dict[Future[Made], Cell] = {}
    attempts: dict[Cell, int] = {}
    try:
        while waiting or running:
            for cell in _ready(waiting, running, progress):
                if len(running) >= executor.slots:
                    break
                store.forget_failure(cell)
                attempts[cell] = attempts.get(cell, 0) + 1
                running[executor.submit(cell, _needs(cell, store))] = cell
            progress.running = list(running.values())
            watch(progress, None, None)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                progress.running = list(running.values())
                died = isinstance(future.exception(), BrokenProcessPool)
                if died and attempts[cell] < ATTEMPTS:
                    continue
                del waiting[cell]
                _finish(future, cell, store, progress, watch, keep_predictions)
            _give_up(waiting, progress, store)
    finally:
        executor.close()
    return progress


def _failed_for_good(cells: Iterable[Cell], store: Store) -> dict[Cell, str]:
    records = {cell: store.record(cell) for cell in cells if _is_finished(cell, store)}
    return {c: r["error"] for c, r in records.items() if r is not None and "error" in r}


def _ready(
    waiting: Mapping[Cell, None], running: Mapping["Future[Made]", Cell], progress: Progress
) -> Iterator[Cell]:
    busy = set(running.values())
    for cell in list(waiting):
        blocked = any(need in waiting or need in progress.failed for need in cell.needs)
        if cell not in busy and not blocked:
            yield cell


def _needs(cell: Cell, store: Store) -> dict[str, Files]:
    return {need.key: store.files(need) for need in cell.needs}


def _finish(
    future: "Future[Made]",
    cell: Cell,
    store: Store,
    progress: Progress,
    watch: Watcher,
    keep_predictions: bool,
) -> None:
    error = future.exception()
    if error is None:
        made = future.result()
        store.save(cell, made, files=keep_predictions or isinstance(cell, Original | Gold))
        progress.done += 1
        progress.ran += 1
        watch(progress, cell, made)
        return
    # the method's own errors come again on every try; others (memory, disk, data) may not
    text = _in_words(error)
    store.save_failure(cell, text, final=isinstance(error, MethodError))
    progress.failed[cell] = text
    watch(progress, cell, None)


def _in_words(error: BaseException) -> str:
    """What was meant to be read as it is, or where it happened."""
    if isinstance(error, MethodError):
        return error.reason
    if isinstance(error, ValueError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()


def _give_up(waiting: dict[Cell, None], progress: Progress, store: Store) -> None:
    """Take out what can never begin because a need failed."""
    for cell in list(waiting):
        lost = next((need for need in cell.needs if need in progress.failed), None)
        if lost is not None:
            del waiting[cell]
            text = f"needs {lost.key}, which failed"
            store.save_failure(cell, text, final=False)
            progress.failed[cell] = text
