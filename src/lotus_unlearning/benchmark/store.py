"""A folder of finished cells: one JSON file each, and their weights and predictions beside it."""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotus_unlearning.benchmark.cells import FORMAT, Cell, canonical
from lotus_unlearning.benchmark.records import read_error, read_record
from lotus_unlearning.benchmark.work import Made
from lotus_unlearning.folders import replace_text

_STALE = 3600.0
"""Seconds after which what is half written will never be finished: writing takes seconds."""


@dataclass(frozen=True)
class Store:
    """Where cells are kept.

    A cell is finished when its JSON file is there. Files of other cells' needs are large and can
    be made again; they are under ``files`` and may be deleted.

    Attributes:
        folder: The folder of all cells and their files.
    """

    folder: Path

    def record(self, cell: Cell) -> dict[str, Any] | None:
        """What is known of a finished cell; ``None`` if it is not finished.

        Raises:
            ValueError: If its file is damaged, or is not as it was written.
        """
        path = self._record(cell)
        return read_record(path, cell) if path.is_file() else None

    def files(self, cell: Cell) -> dict[str, bytes]:
        """Its weights and predictions; empty if they are not there (any more)."""
        folder = self._files(cell)
        if not folder.is_dir():
            return {}
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    def has_files(self, cell: Cell) -> bool:
        """Whether other cells can be run from it."""
        return self._files(cell).is_dir()

    def save(self, cell: Cell, made: Made, *, files: bool) -> None:
        """Keep what a cell gave; complete or not at all, the record last.

        A record that is there stays: who makes files again on another machine gets other bits.
        That of an error does not.
        """
        if files and made.files:
            self._save_files(cell, made.files)
        known = self.record(cell)
        if known is None or "error" in known:
            facts = {"format": FORMAT, "key": cell.key, "cell": canonical(cell), **made.record}
            replace_text(self._record(cell), json.dumps(facts, indent=1) + "\n")

    def save_failure(self, cell: Cell, error: str, *, final: bool) -> None:
        """Keep why a cell failed: for good, or so that the next run tries again."""
        facts = {"format": FORMAT, "key": cell.key, "cell": canonical(cell), "error": error}
        path = self._record(cell) if final else self._failure(cell)
        replace_text(path, json.dumps(facts, indent=1) + "\n")

    def failure(self, cell: Cell) -> str | None:
        """Why a cell failed the last time, if it is to be tried again."""
        path = self._failure(cell)
        if not path.is_file():
            return None
        try:
            return read_error(path)
        except ValueError:
            return f"unknown, as {path} is damaged"

    def forget_failure(self, cell: Cell) -> None:
        """It is tried again now."""
        self._failure(cell).unlink(missing_ok=True)

    def claim(self, cell: Cell) -> ExitStack | None:
        """Take a cell, to give it back with ``close()``; ``None`` if another process has it.

        So runs on one folder share the work. The lock is the operating system's and ends with the
        process, however that ends. Where a file system has no locks, or none between machines,
        several compute the cell: a waste, but right, as the first result stays.
        """
        path = self.folder / "claims" / cell.key
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with ExitStack() as stack:
                file = stack.enter_context(path.open("a", encoding="utf-8"))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return None
                except OSError:  # no locks here
                    pass
                if _is_at(path, file.fileno()):  # else who had it removed it after it was opened
                    stack.callback(path.unlink, missing_ok=True)
                    return stack.pop_all()

    def tidy(self) -> None:
        """Remove what killed runs left half written."""
        for path in [*self.folder.glob("*/.*.json.*.tmp"), *self.folder.glob("files/.*-*.*/")]:
            if time.time() - path.stat().st_mtime < _STALE:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _record(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.key}.json"

    def _failure(self, cell: Cell) -> Path:
        return self.folder / "failed" / f"{cell.key}.json"

    def _files(self, cell: Cell) -> Path:
        return self.folder / "files" / cell.key

    def _save_files(self, cell: Cell, files: Mapping[str, bytes]) -> None:
        final = self._files(cell)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
        try:
            for name, contents in files.items():
                (temporary / name).write_bytes(contents)
            more = files.keys() - self.files(cell).keys()  # weights that were not kept at first
            self._move(temporary, final, replace=bool(more) or not self._record(cell).exists())
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _move(self, temporary: Path, final: Path, *, replace: bool) -> None:
        """Files of a finished cell stay: another process may have made them, and read them."""
        if replace:
            shutil.rmtree(final, ignore_errors=True)
        try:
            temporary.rename(final)
        except OSError:
            if not final.is_dir():
                raise
            shutil.rmtree(temporary, ignore_errors=True)


def _is_at(path: Path, file: int) -> bool:
    """Whether an open file is the one that is at ``path`` now."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
