"""Errors, in the words of a message: what a user can do something about, and where it is."""

import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path

from lotus_unlearning.files.folders import NO_ROOM

_EXPECTED = (ValueError, TypeError, OSError, FloatingPointError)
_KILLED = re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)")
_IN_A_WORKER = re.compile(r"Caught \w+ in DataLoader worker process")
_PACKAGE = str(Path(__file__).parents[1])
_LIBRARIES = tuple(f"{path}{os.sep}" for path in {*sysconfig.get_paths().values(), sys.prefix})


def told(error: Exception) -> str | None:
    """A message for ``error``; ``None`` for one that nobody expected, which needs its traceback."""
    if _is_out_of_memory(error):
        first = str(error).partition("\n")[0].partition(". ")[0]
        before, known, rest = first.partition("out of memory")
        what = rest if known else f" ({before})" if before else ""
        return (
            f"out of memory{what}; try a smaller --batch_size or --recipe.batch_size, fewer images "
            "(--limit), or a smaller model"
        )
    if "Expected more than 1 value per channel" in str(error):
        return (
            "expected batches of two images or more, as BatchNorm cannot learn from one alone, got "
            "one image; take a larger batch size, forget more than one image at once, or take a "
            "method that learns from forget and retain images together, such as lotus"
        )
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        where = f" for {error.filename}" if error.filename else ""
        return (
            f"expected room on the disk{where}, got: {error.strerror}; nothing that was there is "
            "lost; free some room and start the same command again"
        )
    if isinstance(error, RuntimeError) and _KILLED.search(str(error)):
        first = str(error).partition("\n")[0]
        return (
            f"a process that reads images was killed ({first}); most often memory was short: start "
            "the same command again with less beside it or a smaller --batch_size"
        )
    if _IN_A_WORKER.search(str(error)):
        return _told_by_a_worker(str(error))
    place = _in_code_of_the_user(error)
    if place is not None:
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        return f"{type(error).__name__}: {what} ({place})"
    return str(error) if isinstance(error, _EXPECTED) else None


def _told_by_a_worker(text: str) -> str | None:
    """The last line of a traceback that PyTorch made a message, and where it is from."""
    places = re.findall(r'File "([^"]+)", line (\d+)', text)
    file, line = places[-1] if places else ("unknown", "0")
    if file.startswith(_PACKAGE):
        return None
    return f"{text.strip().splitlines()[-1]} ({file}, line {line})"


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def _in_code_of_the_user(error: Exception) -> str | None:
    """File and line, if the last code on the way to the error, but for libraries, is the user's."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = frame.filename
        if file.startswith(_PACKAGE):
            return None
        if not file.startswith(("<", *_LIBRARIES)):
            return f"{file}, line {frame.lineno}"
    return None
