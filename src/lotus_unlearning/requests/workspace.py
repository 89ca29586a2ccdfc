"""A workspace on disk, and what is put right when one is opened after a kill.

::

    lotus.yaml        settings
    ledger.sqlite     requests, runs and their history
    index.npz         ids and hashes of the images the model was trained on
    keys/             private.pem (mode 600) and public.pem
    runs/0000         the model that was there at the start: a run folder
    runs/0001         the first run of `lotus request run`
    current           a link to the run whose model is served

A run is made in this order; each step is whole or not there:

1. its folder, under a hidden name and then renamed;
2. the ledger: the run is *prepared*, with all that is known of it;
3. ``current`` is replaced: from here on the new model is served;
4. the ledger: the run and its requests are *served*.

A kill before 3 leaves the old model with the requests pending, and :func:`opened` takes the rest of
the run away. A kill between 3 and 4 leaves the new model, and :func:`opened` writes 4, for which
everything is in the ledger already. So the ledger never says of a model what is not true yet.
"""

import fcntl
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lotus_unlearning.requests import entries, ledger, settings
from lotus_unlearning.requests.canonical import file_digest
from lotus_unlearning.requests.entries import Run

LEDGER, CURRENT, RUNS, KEYS, WEIGHTS = (
    "ledger.sqlite",
    "current",
    "runs",
    "keys",
    "model.safetensors",
)
_LOCK, _NEXT = ".running", ".current.next"
_RUN = re.compile(r"[0-9]{4,}")
_UNFINISHED = re.compile(r"\.[0-9]{4,}\..*")


@dataclass(frozen=True)
class Workspace:
    """An opened workspace.

    Attributes:
        folder: The folder of the workspace.
        db: The connection to its ledger.
    """

    folder: Path
    db: sqlite3.Connection

    @property
    def settings(self) -> settings.Settings:
        """Read from ``lotus.yaml``."""
        return settings.read(self.folder / settings.FILE)

    def run_folder(self, number: int) -> Path:
        """Where the run ``number`` is kept."""
        return self.folder / RUNS / f"{number:04d}"

    def pointed_to(self) -> str:
        """What ``current`` points to; empty if it is no link."""
        link = self.folder / CURRENT
        return os.readlink(link) if link.is_symlink() else ""

    def points_to(self, number: int) -> bool:
        """Whether ``current`` points to the run ``number``."""
        return self.pointed_to() == _target(number)


@contextmanager
def opened(folder: str | Path, *, alone: bool = False) -> Iterator[Workspace]:
    """The workspace at ``folder``, put right if a run was killed there.

    Args:
        folder: The folder that :func:`lotus_unlearning.requests.start.start` made.
        alone: Whether no other process may be in such a block meanwhile.

    Raises:
        ValueError: If there is no workspace, its ledger was altered, or another run is at work.
    """
    place = Path(folder)
    if not (place / settings.FILE).is_file():
        if (place / LEDGER).is_file():
            raise ValueError(_lost_settings(place))
        raise ValueError(
            f"workspace: expected a folder made by lotus request init at {str(folder)!r}, got "
            + ("a folder without lotus.yaml" if place.is_dir() else "none")
            + "; name it with --workspace"
        )
    with ledger.opened(place / LEDGER) as db:
        found = Workspace(place, db)
        problems = entries.problems(db)
        if problems:
            raise ValueError(
                f"{place / LEDGER}: expected a ledger as it was written, but "
                f"{'; '.join(problems[:3])}; restore it from a backup"
            )
        if alone:
            with _alone(place):
                _put_right(found)
                yield found
            return
        if _left_over(found):
            _put_right_if_free(found)
        yield found


def served_run(workspace: Workspace) -> Run:
    """The run whose model is served, as the ledger and ``current`` both say.

    Raises:
        ValueError: If they differ, or the model's file is not the one that was written.
    """
    run = entries.runs(workspace.db, "original", "served")[-1]
    link = workspace.folder / CURRENT
    known = {_target(found.number) for found in entries.runs(workspace.db)}
    if workspace.pointed_to().startswith(f"{RUNS}/") and workspace.pointed_to() not in known:
        raise ValueError(
            f"{link}: expected a run that the ledger knows, got {workspace.pointed_to()}: the "
            "ledger is older than the model that is served; put the newer one back"
        )
    if not workspace.points_to(run.number):
        raise ValueError(
            f"{link}: expected a link to {_target(run.number)}, which is served by the ledger, got "
            f"{workspace.pointed_to() or 'none'}; put it back: ln -sfn {_target(run.number)} {link}"
        )
    weights = workspace.run_folder(run.number) / WEIGHTS
    if not weights.is_file():
        raise ValueError(f"{weights}: expected the served model, found none; restore it")
    found = file_digest(weights)
    if found != run.file:
        raise ValueError(
            f"{weights}: expected the file with SHA-256 {run.file[:12]}..., got {found[:12]}...; "
            "it was changed after it was written: restore it from a backup"
        )
    return run


def point_to(workspace: Workspace, number: int) -> None:
    """Serve the model of the run ``number`` from now on: one atomic step."""
    following = workspace.folder / _NEXT
    following.unlink(missing_ok=True)
    os.symlink(_target(number), following)
    os.replace(following, workspace.folder / CURRENT)
    settle_folder(workspace.folder)


def mark_served(workspace: Workspace, run: Run) -> None:
    """Write that the model of ``run`` is served, and with it the requests of its batch."""
    with ledger.transaction(workspace.db):
        entries.change_run(workspace.db, run.number, "served")
        pending = {request.id for request in entries.requests(workspace.db, "pending")}
        for request in run.requests:
            if request in pending:  # not if it was withdrawn meanwhile
                entries.change_request(workspace.db, request, "served", run=run.number)


def settle_folder(folder: Path) -> None:
    """A rename in ``folder`` survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lost_settings(place: Path) -> str:
    """Where the settings of a workspace can be found again."""
    made = sorted(path.name for path in (place / RUNS).glob("[0-9]*") if _RUN.fullmatch(path.name))
    file = place / RUNS / (made[-1] if made else "0000") / "config.yaml"
    how = f"{file} holds those of the last run, under the key lotus.yaml: put them back from there"
    if made in ([], ["0000"]):
        how = f"{file} holds the choice of data alone: restore {settings.FILE} from a backup"
    return f"{place / settings.FILE}: expected the settings beside {LEDGER}, found none; {how}"


def _target(number: int) -> str:
    return f"{RUNS}/{number:04d}"


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """The lock is the operating system's: it ends with the process, however that ends."""
    with (place / _LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ValueError(
                f"{place}: expected no run at work there, got one (process {file.read().strip()}); "
                "wait until it has ended"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _left_over(workspace: Workspace) -> bool:
    return bool(entries.runs(workspace.db, "prepared")) or bool(_litter(workspace))


def _put_right_if_free(workspace: Workspace) -> None:
    try:
        with _alone(workspace.folder):
            _put_right(workspace)
    except ValueError:
        pass  # a run is at work: what seems left over is what it is making


def _put_right(workspace: Workspace) -> None:
    """Finish or take away what a killed run left; the caller is alone."""
    for run in entries.runs(workspace.db, "prepared"):
        if workspace.points_to(run.number):
            mark_served(workspace, run)
        else:
            with ledger.transaction(workspace.db):
                why = "interrupted before its model was served"
                entries.change_run(workspace.db, run.number, "abandoned", why=why)
    for path in _litter(workspace):
        shutil.rmtree(path, ignore_errors=True)
    (workspace.folder / _NEXT).unlink(missing_ok=True)


def _litter(workspace: Workspace) -> list[Path]:
    """Folders of runs that were cut short, which the ledger does not know or has given up.

    Where a run is served that the ledger does not know, an older ledger was put back: then what it
    does not know is no litter.
    """
    known = {_target(run.number) for run in entries.runs(workspace.db)}
    if workspace.pointed_to() not in known:
        return []
    kept = {
        workspace.run_folder(run.number).name
        for run in entries.runs(workspace.db)
        if run.state != "abandoned"
    }
    folder = workspace.folder / RUNS
    return [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if _UNFINISHED.fullmatch(path.name) or (_RUN.fullmatch(path.name) and path.name not in kept)
    ]
