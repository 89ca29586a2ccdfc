"""Folders and files that are complete or not there, and places for them."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

_OS_ERROR = re.compile(r"\(os error (\d+)\)")

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system calls a full disk, a full share of it, and a file that may not be so large."""

WEIGHTS = "model.safetensors"
"""What is worth keeping of a folder that could not be finished."""


def destination(out: str | None, name: str) -> Path:
    """Where a run goes: ``out``, or ``runs/name`` with the first free number behind it.

    Raises:
        ValueError: If something stands at ``out``, or it is a link, which cannot be replaced.
    """
    if out is None:
        first = Path("runs") / name
        path, number = first, 2
        while os.path.lexists(path):
            path, number = first.with_name(f"{name}-{number}"), number + 1
        return path
    path = Path(out)
    link = path.is_symlink()
    if link or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        what = "is a link" if link else "holds something already"
        raise ValueError(
            f"out: expected a new or empty folder, got {out!r}, which {what}; choose another --out "
            "or move it away"
        )
    return path


def require_writable(final: Path, option: str = "out") -> None:
    """Find out before the work whether ``final`` can be made after it.

    Args:
        final: A folder or file.
        option: That names it, for the message.

    Raises:
        ValueError: If not.
    """
    place = next(parent for parent in final.absolute().parents if os.path.lexists(parent))
    try:
        Path(tempfile.mkdtemp(dir=place, prefix=f".{final.name}.")).rmdir()
    except OSError as error:
        raise ValueError(
            f"{option}: expected a place that can be written to, got {str(final)!r}: "
            f"{error.strerror}"
        ) from None


@contextmanager
def folder(final: Path) -> Iterator[Path]:
    """A folder under a temporary name, renamed to ``final`` when the block is complete.

    Yields:
        The temporary folder. If the block raises, it is gone and nothing is left.

    Raises:
        ValueError: If it cannot be written or renamed, and holds a model already: then it stays,
            and the message says where.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    try:
        yield temporary
        share(temporary)  # mkdtemp makes it private
        if final.is_dir():
            final.rmdir()  # fails if something was put there meanwhile
        temporary.rename(final)
    except OSError as error:
        if not (temporary / WEIGHTS).exists():
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        raise ValueError(
            f"{final}: expected a place that can be written to, but meanwhile: {error.strerror}; "
            f"what was computed is kept in {temporary}"
        ) from None
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """A name beside ``path`` for a file that takes its place when the block is complete.

    Args:
        path: In a folder that is there. If the block raises, what was there is there still.
        alone: Whether no other process writes ``path`` meanwhile, nor another machine. Then the
            name is always the same, and what a killed run left half written is written over by
            the next one; else each has a name of its own.

    Yields:
        Where to write. Nothing is left there.
    """
    unique = "" if alone else f".{uuid4().hex}"
    temporary = path.with_name(f".{path.name}{unique}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, line ends as they are: complete, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def share(path: Path) -> None:
    """Let others read a file or folder that was made for its owner alone, as the umask says."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


def os_error(error: Exception, path: Path) -> OSError:
    """What the system said when safetensors, whose errors are its own, failed to write ``path``.

    >>> os_error(Exception("I/O error: No space left on device (os error 28)"), Path("weights"))
    OSError(28, 'No space left on device')
    """
    number = _OS_ERROR.search(str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code), str(path))
