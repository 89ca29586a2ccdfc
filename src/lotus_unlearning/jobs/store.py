"""A folder of finished jobs: one JSON file each, and their large files beside it."""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lotus_unlearning.files.claims import claim
from lotus_unlearning.files.folders import replace_text
from lotus_unlearning.files.plain import from_json
from lotus_unlearning.jobs.job import Entry, Files, J_contra, Made

_STALE = 3600.0
"""Seconds after which what is half written will never be finished: writing takes seconds."""


class Keeper(Protocol[J_contra]):
    """Keeps what jobs give: a :class:`Store`, or what puts jobs into one in its own way."""

    def record(self, job: J_contra, /) -> Mapping[str, Any] | None:
        """What is known of a finished job; ``None`` if it is not finished."""

    def files(self, job: J_contra, /) -> Files:
        """What other jobs need of it."""

    def has_files(self, job: J_contra, /) -> bool:
        """Whether they are there."""

    def save(self, job: J_contra, made: Made, /, *, files: bool) -> None:
        """Keep what a job gave; its files, too, if so."""

    def save_failure(self, job: J_contra, error: str, /, *, final: bool) -> None:
        """Keep why a job failed: for good, or so that the next run tries again."""

    def failure(self, job: J_contra, /) -> str | None:
        """Why a job failed the last time, if it is to be tried again."""

    def forget_failure(self, job: J_contra, /) -> None:
        """It is tried again now."""

    def claim(self, job: J_contra, /) -> ExitStack | None:
        """Take a job, to give it back with ``close()``; ``None`` if another run has it."""


@dataclass(frozen=True)
class Store:
    """Where results are kept.

    What is finished has a JSON file under ``cells``. What others need of it is large and can be
    made again; it is under ``files`` and may be deleted. Why something failed, which is to be tried
    again, is under ``failed``.

    Attributes:
        folder: Of all.
    """

    folder: Path

    def record(self, entry: Entry) -> dict[str, Any] | None:
        """What is known of what is finished; ``None`` of what is not.

        Raises:
            ValueError: If its file is damaged, or is not as it was written.
        """
        path = self._record(entry)
        return entry.read(path) if path.is_file() else None

    def files(self, entry: Entry) -> dict[str, bytes]:
        """What others need of it; empty if it is not there (any more)."""
        folder = self._files(entry)
        if not folder.is_dir():
            return {}
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    def file(self, entry: Entry, name: str) -> bytes | None:
        """One of its files; ``None`` if it is not there."""
        path = self._files(entry) / name
        return path.read_bytes() if path.is_file() else None

    def names(self, entry: Entry) -> frozenset[str]:
        """Of its files."""
        folder = self._files(entry)
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

    def has_files(self, entry: Entry) -> bool:
        """Whether others can be made from it."""
        return self._files(entry).is_dir()

    def save(self, entry: Entry, made: Made, *, files: bool) -> None:
        """Keep what was made; complete or not at all, the record last.

        A record that is there stays: who makes files again on another machine gets other bits.
        That of an error does not.
        """
        if files and made.files:
            self._save_files(entry, made.files)
        known = self.record(entry)
        if known is None or "error" in known:
            facts = {**entry.heading, **made.record}
            replace_text(self._record(entry), json.dumps(facts, indent=1) + "\n")

    def save_failure(self, entry: Entry, error: str, *, final: bool) -> None:
        """Keep why it failed: for good, or so that the next run tries again."""
        facts = {**entry.heading, "error": error}
        path = self._record(entry) if final else self._failure(entry)
        replace_text(path, json.dumps(facts, indent=1) + "\n")

    def failure(self, entry: Entry) -> str | None:
        """Why it failed the last time, if it is to be tried again."""
        path = self._failure(entry)
        return _error(path) or f"unknown, as {path} is damaged" if path.is_file() else None

    def forget_failure(self, entry: Entry) -> None:
        """It is tried again now."""
        self._failure(entry).unlink(missing_ok=True)

    def claim(self, entry: Entry) -> ExitStack | None:
        """Take it, to give it back with ``close()``; ``None`` if another process has it.

        So runs on one folder share the work. Where a file system has no locks, or none between
        machines, several make the same: a waste, but right, as the first result stays.
        """
        return claim(self.folder / "claims" / entry.key)

    def tidy(self) -> None:
        """Remove what killed runs left half written."""
        for path in [*self.folder.glob("*/.*.json.*.tmp"), *self.folder.glob("files/.*-*.*/")]:
            if time.time() - path.stat().st_mtime < _STALE:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _record(self, entry: Entry) -> Path:
        return self.folder / "cells" / f"{entry.key}.json"  # the name of the first results

    def _failure(self, entry: Entry) -> Path:
        return self.folder / "failed" / f"{entry.key}.json"

    def _files(self, entry: Entry) -> Path:
        return self.folder / "files" / entry.key

    def _save_files(self, entry: Entry, files: Mapping[str, bytes]) -> None:
        final = self._files(entry)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
        try:
            for name, contents in files.items():
                (temporary / name).write_bytes(contents)
            more = files.keys() - self.names(entry)  # weights that were not kept at first
            self._move(temporary, final, replace=bool(more) or not self._record(entry).exists())
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _move(self, temporary: Path, final: Path, *, replace: bool) -> None:
        """Files of what is finished stay: another process may have made them, and read them."""
        if replace:
            shutil.rmtree(final, ignore_errors=True)
        try:
            temporary.rename(final)
        except OSError:
            if not final.is_dir():
                raise
            shutil.rmtree(temporary, ignore_errors=True)


def _error(path: Path) -> str | None:
    """What a file says of a failure, if it says anything."""
    try:
        found = from_json(path)
    except ValueError:
        return None
    error = found.get("error") if isinstance(found, dict) else None
    return error if isinstance(error, str) and error.strip() else None
