"""One text for one value, so that a hash of it means something."""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def canonical(value: Any) -> bytes:
    """JSON in UTF-8 with sorted keys and without spaces; equal values give equal bytes.

    >>> canonical({"b": 1, "a": [None, "é"]}).decode()
    '{"a":[null,"é"],"b":1}'
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal digits."""
    return sha256(canonical(value)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    found = sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file that is on the disk when this returns.

    Raises:
        FileExistsError: If there is one.
    """
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def settle(folder: Path) -> None:
    """What is in ``folder``, and that it is there, survives a power cut from now on."""
    for path in [*folder.rglob("*"), folder, folder.parent]:
        if path.is_symlink():
            continue
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
