"""Files of a run folder that are read again: each as it was written, or what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lotus_unlearning.plain_files import from_json, parsed_json

_MANIFEST = {
    **dict.fromkeys(("model", "method", "trained_on"), dict | None),
    **dict.fromkeys(("seconds", "peak_memory_bytes"), float | int | None),
    **{
        key: list | None
        for kind in ("forgotten", "forgotten_before", "left_out")
        for key in (kind, f"{kind}_content")
    },
}
"""Keys of a manifest that are read again -> what stands there, if anything does."""


def manifest(folder: Path) -> dict[str, Any]:
    """``manifest.json`` of a run.

    Raises:
        ValueError: If it is broken, or what is read again is of another kind.
    """
    found: dict[str, Any] = read(folder / "manifest.json", from_json, dict)
    other = [key for key, kind in _MANIFEST.items() if not isinstance(found.get(key), kind)]
    if other:
        raise ValueError(
            f"{folder / 'manifest.json'}: expected a file of a run as it was written, got other "
            f"values of {', '.join(other)}"
        )
    return found


def history(file: Path) -> list[Any]:
    """The rows of ``history.jsonl``.

    Raises:
        ValueError: If a line holds something else.
    """
    rows = [parsed_json(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line that is no mapping")
    return rows


def read(file: Path, parse: Callable[[Path], Any], kind: type) -> Any:
    """The contents of ``file``; empty if there is no such file.

    Raises:
        ValueError: If they are broken or of another kind.
    """
    if not file.exists():
        return kind()
    try:
        found = parse(file)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{file}: expected a file of a run as it was written, got a broken one: {error}"
        ) from None
    if not isinstance(found, kind):
        raise ValueError(f"{file}: expected a {kind.__name__}, got {type(found).__name__}")
    return found
