"""Run folders: what a command leaves, complete or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from lotus_unlearning import models
from lotus_unlearning.evaluation import Evaluation
from lotus_unlearning.runtime import fingerprint

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """How to build a model again.

    Attributes:
        name: One of ``MODELS``, ``timm:NAME``, ``torchvision:NAME`` or
            ``python:module:function``.
        classes: Number of outputs.
        channels: Of the images.
        image_size: Height and width of the images in pixels.
    """

    name: str
    classes: int
    channels: int
    image_size: int

    def build(self, *, pretrained: bool = False, seed: int = 0) -> nn.Module:
        """The model, freshly initialised by ``seed`` or with its pre-trained weights."""
        return models.build(
            self.name,
            classes=self.classes,
            channels=self.channels,
            image_size=self.image_size,
            pretrained=pretrained,
            seed=seed,
        )


@dataclass(frozen=True)
class Run:
    """A run folder, read.

    Attributes:
        path: Where it is.
        manifest: ``manifest.json``.
        config: ``config.yaml``.
        history: ``history.jsonl``.
    """

    path: Path
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    history: Sequence[Row]

    @property
    def architecture(self) -> Architecture:
        """How its model is built."""
        return Architecture(**self.manifest["model"])

    def model(self) -> nn.Module:
        """Its model, with its weights, in evaluation mode.

        Raises:
            ValueError: If the weights are not those that the manifest names.
        """
        model = self.architecture.build()
        models.load_weights(model, self.path / "model.safetensors")
        found, expected = fingerprint(model), self.manifest["weights_sha256"]
        if found != expected:
            raise ValueError(
                f"{self.path}: expected weights with SHA-256 {expected[:12]}..., got "
                f"{found[:12]}...; model.safetensors was changed after the run"
            )
        return model.eval()


def read(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ValueError: If ``path`` is none.
    """
    folder = Path(path)
    if not (folder / "manifest.json").is_file():
        raise ValueError(
            f"expected a run folder (made by lotus train, unlearn or demo) at {str(path)!r}, "
            + ("got a folder without manifest.json" if folder.is_dir() else "found none")
        )
    import yaml

    config, history = folder / "config.yaml", folder / "history.jsonl"
    return Run(
        folder,
        json.loads((folder / "manifest.json").read_text(encoding="utf-8")),
        yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else {},
        [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        if history.exists()
        else [],
    )


def destination(out: str | None, name: str) -> Path:
    """Where a run goes: ``out``, or ``runs/name`` with the first free number behind it.

    Raises:
        ValueError: If something stands at ``out``.
    """
    if out is None:
        first = Path("runs") / name
        path, number = first, 2
        while path.exists():
            path, number = first.with_name(f"{name}-{number}"), number + 1
        return path
    path = Path(out)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"out: expected a new or empty folder, got {out!r}, which holds something already; "
            "choose another --out or move it away"
        )
    return path


@contextmanager
def folder(final: Path) -> Iterator[Path]:
    """A folder under a temporary name, renamed to ``final`` when the block is complete.

    Yields:
        The temporary folder; if the block raises, it is gone and nothing is left.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)  # mkdtemp makes it private
        if final.is_dir():
            final.rmdir()  # fails if something was put there meanwhile
        temporary.rename(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``: complete, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write(
    path: Path,
    *,
    config: Mapping[str, Any],
    model: nn.Module | None = None,
    architecture: Architecture | None = None,
    history: Sequence[Row] = (),
    manifest: Mapping[str, Any],
    evaluation: Evaluation | None = None,
) -> None:
    """Write the files of a run into ``path``, a folder made by :func:`folder`."""
    import yaml

    path.mkdir(exist_ok=True)
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    (path / "config.yaml").write_text(text, encoding="utf-8")
    facts = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), **manifest}
    if model is not None and architecture is not None:
        models.save_weights(model, path / "model.safetensors")
        facts |= {"model": asdict(architecture), "weights_sha256": fingerprint(model)}
    lines = "".join(json.dumps(row) + "\n" for row in history)
    if lines:
        (path / "history.jsonl").write_text(lines, encoding="utf-8")
    if evaluation is not None:
        evaluation.to_json(path / "metrics.json")
        evaluation.to_html(path / "report.html")
    (path / "manifest.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
