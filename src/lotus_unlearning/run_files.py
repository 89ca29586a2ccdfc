"""Files of a run folder that are read again: each as it was written, or what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from lotus_unlearning.files.kinds import require
from lotus_unlearning.files.plain import from_json, from_yaml, parsed_json

Ids = list[int] | list[str]
_AS_WRITTEN = "a file of a run as it was written"
ADVICE = "restore it from a backup, or run the command again that made it"


class _Method(TypedDict):
    name: str
    settings: dict[str, Any]
    citation: NotRequired[str]


class _TrainedOn(TypedDict):
    data: str
    images: int
    ids: str
    content: NotRequired[str | None]


class _Manifest(TypedDict, total=False):
    """What is read again of ``manifest.json``, but for hashes, which are compared as they are."""

    command: str
    seed: int
    model: dict[str, Any] | None
    method: _Method
    trained_on: _TrainedOn
    seconds: float | None
    peak_memory_bytes: float | None
    forgotten: Ids
    forgotten_content: list[str] | None
    forgotten_before: Ids
    forgotten_before_content: list[str] | None
    left_out: Ids
    left_out_content: list[str] | None


class _Config(TypedDict, total=False):
    """What other commands take over from ``config.yaml``."""

    data: str | None
    root: str | None
    limit: int | None
    size: int | None
    data_seed: int | None
    unseen_from: Literal["train", "test"] | None
    on_overlap: str | None
    model: str | None
    recipe: dict[str, Any] | None
    pretrained: bool | None
    precision: str | None


def manifest(folder: Path) -> dict[str, Any]:
    """``manifest.json`` of a run.

    Raises:
        ValueError: If it is broken, or what is read again is of another kind.
    """
    file = folder / "manifest.json"
    found: dict[str, Any] = _read(file, from_json, dict)
    require(file, found, _Manifest, _AS_WRITTEN, ADVICE)
    return found


def config(folder: Path) -> dict[str, Any]:
    """``config.yaml`` of a run.

    Raises:
        ValueError: If it is broken, or what other commands take over is of another kind.
    """
    file = folder / "config.yaml"
    found: dict[str, Any] = _read(file, from_yaml, dict)
    require(file, found, _Config, _AS_WRITTEN, ADVICE)
    return found


def history(folder: Path) -> list[dict[str, float | None]]:
    """The rows of ``history.jsonl``.

    Raises:
        ValueError: If it is broken, or a line holds something else than numbers with names.
    """
    file = folder / "history.jsonl"
    found: list[dict[str, float | None]] = _read(file, _rows, list)
    require(file, found, list[dict[str, float | None]], _AS_WRITTEN, ADVICE)
    return found


def _rows(file: Path) -> list[Any]:
    return [parsed_json(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _read(file: Path, parse: Callable[[Path], Any], kind: type) -> Any:
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
            f"{file}: expected {_AS_WRITTEN}, got a broken one: {error}; {ADVICE}"
        ) from None
    if not isinstance(found, kind):
        raise ValueError(
            f"{file}: expected a {kind.__name__}, got {type(found).__name__}; {ADVICE}"
        )
    return found
