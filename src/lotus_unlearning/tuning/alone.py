"""One search at a time: one process, and one of them per folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def require_one_process() -> None:
    """Refuse to be one of several processes of ``torchrun`` or ``accelerate launch``.

    Raises:
        ValueError: If there are several: each would search, and write to the same files.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count != "1":
        raise ValueError(
            f"tune: expected one process, got WORLD_SIZE={count}, and each of them would search "
            "for itself; start it without torchrun or accelerate launch"
        )


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Within the block, no other process is in a block of the same ``path``.

    The lock is the operating system's, on a file beside ``path``: it ends with the process,
    however that ends.

    Raises:
        ValueError: If another one is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.running").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{path}: expected no other search at work there, got one that is running; wait "
                "until it has ended, or search elsewhere (another --out; in Python: journal)"
            ) from None
        yield
