"""The folder of a checkpoint belongs to one run at a time."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lotus_unlearning.files.claims import claim
from lotus_unlearning.files.folders import require_writable
from lotus_unlearning.runtime.checkpoint import FILE
from lotus_unlearning.runtime.processes import Processes

_LOCK = f".{FILE}.running"
_LINGER, _PAUSE = 6.0, 0.2
"""Seconds: what reads images for a run notices within five that the run was killed."""


@contextmanager
def claimed(folder: Path | None, processes: Processes) -> Iterator[None]:
    """Within the block, no other run writes a checkpoint in ``folder``; ``None``: there is none.

    Of several processes, the first one takes it for all.

    Raises:
        ValueError: If the folder cannot be made or written to, or another run has it.
    """
    with ExitStack() as stack:
        if folder is not None and processes.rank == 0:
            stack.enter_context(_claim(_made(folder)))
        yield


def require_free(folder: Path) -> None:
    """Find out before the work whether a checkpoint can be written in ``folder``; makes nothing.

    Raises:
        ValueError: If it cannot be written to, or another run has it.
    """
    require_writable(folder / FILE, "checkpoint")
    if folder.is_dir():
        _claim(folder).close()


def discard(folder: str | Path) -> None:
    """Remove the checkpoint in ``folder``, and the folder if nothing else is in it.

    A link to a folder stays, and so does the folder. All stays if another run has it: one that
    goes on from there, and removes it in the end.
    """
    path = Path(folder)
    held = claim(path / _LOCK) if path.is_dir() else None
    if held is None:
        return
    with held:
        (path / FILE).unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it, or it is a link
        path.rmdir()


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"checkpoint: expected a folder at {str(folder)!r}, but: {error.strerror}"
        ) from None
    require_writable(folder / FILE, "checkpoint")
    return folder


def _claim(folder: Path) -> ExitStack:
    end = time.monotonic() + _LINGER
    while (held := claim(folder / _LOCK)) is None:
        if time.monotonic() > end:
            raise ValueError(
                f"checkpoint: expected a folder of this run alone, got {str(folder)!r}, which is "
                "in use by another run; choose another folder, or wait until that run has ended"
            )
        time.sleep(_PAUSE)
    return held
