"""One process at a time, by a lock of the operating system."""

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path


def claim(path: Path) -> ExitStack | None:
    """Take ``path``, to give it back with ``close()``; ``None`` if another process has it.

    The lock ends with the process, however that ends. Where a file system has no locks, everybody
    has it.

    Args:
        path: A file of no contents, made here and removed at the end.

    Raises:
        OSError: If it cannot be made.
    """
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


def _is_at(path: Path, file: int) -> bool:
    """Whether an open file is the one that is at ``path`` now."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
