"""Run folders: what a command leaves, complete or not at all."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from lotus_unlearning import models, run_files
from lotus_unlearning.evaluation import Evaluation, versions
from lotus_unlearning.files.config_paths import resolved
from lotus_unlearning.files.kinds import require
from lotus_unlearning.runtime import (
    Processes,
    choose_device,
    choose_precision,
    fingerprint,
)
from lotus_unlearning.runtime.hardware import machine
from lotus_unlearning.training import Recipe

Row = Mapping[str, Any]
Ids = Sequence[int] | Sequence[str]
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Architecture:
    """How to build a model again.

    Attributes:
        name: One of ``MODELS``, ``timm:NAME``, ``torchvision:NAME`` or
            ``python:module:function``.
        classes: The number of outputs.
        channels: The number of channels of an image.
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
        path: The folder.
        manifest: The contents of ``manifest.json``.
        config: The contents of ``config.yaml``, with paths that lead there from the working folder.
        history: The rows of ``history.jsonl``, one per epoch.
    """

    path: Path
    manifest: Mapping[str, Any] = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)
    history: Sequence[Row] = field(repr=False)

    @property
    def architecture(self) -> Architecture:
        """How its model is built.

        Raises:
            ValueError: If it holds none.
        """
        known = self.manifest.get("model")
        if known is None:
            raise ValueError(
                f"{self.path}: expected a run with a model (made by lotus train, unlearn or demo), "
                f"got one of lotus {self.manifest.get('command', 'an unknown command')} without"
            )
        file, what = self.path / "manifest.json", "how a model is built"
        require(file, known, Architecture, what, run_files.ADVICE)
        return Architecture(**known)

    @property
    def recipe(self) -> Recipe | None:
        """How its model was trained, if it was and ``config.yaml`` says so.

        Raises:
            ValueError: If it says something else.
        """
        known, file = self.config.get("recipe"), self.path / "config.yaml"
        what = "settings of training under recipe"
        require(file, known, Recipe | None, what, run_files.ADVICE)
        return None if known is None else Recipe(**known)

    def model(self) -> nn.Module:
        """Its model, with its weights, in evaluation mode.

        Raises:
            ValueError: If the weights are not those that the manifest names.
        """
        model = self.architecture.build()
        models.load_weights(model, self.path / _WEIGHTS)
        found, expected = fingerprint(model), str(self.manifest.get("weights_sha256"))
        if found != expected:
            raise ValueError(
                f"{self.path}: expected weights with SHA-256 {expected[:12]}..., got "
                f"{found[:12]}...; model.safetensors was changed after the run"
            )
        return model.eval()


def read(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ValueError: If ``path`` is none, or one of its files is broken.
    """
    folder = Path(path)
    if not (folder / "manifest.json").is_file():
        raise ValueError(
            f"expected a run folder (made by lotus train, unlearn or demo) at {str(path)!r}, "
            + ("got a folder without manifest.json" if folder.is_dir() else "found none")
        )

    manifest = run_files.manifest(folder)
    config = resolved(manifest.get("command", ""), run_files.config(folder), folder)
    return Run(folder, manifest, config, run_files.history(folder))


def origin(path: str | Path) -> Run:
    """The run that trained the model of a run folder: itself, or what unlearning began from.

    Raises:
        ValueError: If ``path``, or a run that it began from, is none.
    """
    run, before = read(path), set[Path]()
    while "recipe" not in run.config and run.config.get("model") and run.path not in before:
        before.add(run.path)  # a config that was changed may name its own run
        run = read(run.config["model"])
    return run


def write(
    path: Path,
    *,
    config: Mapping[str, Any],
    model: nn.Module | None = None,
    architecture: Architecture | None = None,
    history: Sequence[Row] = (),
    manifest: Mapping[str, Any],
    evaluation: Evaluation | None = None,
    ids: Mapping[str, Ids] | None = None,
) -> None:
    """Write the files of a run into ``path``, weights first.

    Args:
        path: A folder, made if it is not there; :func:`lotus_unlearning.files.folders.folder`
            gives one that is gone again if writing fails.
        config: The options of the command.
        model: The model whose weights are written, if ``architecture`` says how to build it again.
        architecture: The architecture of ``model``.
        history: One row per epoch.
        manifest: The facts about the run, as plain data.
        evaluation: The evaluation, which is written with its page.
        ids: The name of each file of ids -> official ids for it, as :meth:`Splits.from_ids` reads
            them.
    """
    path.mkdir(exist_ok=True)
    facts = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), **manifest}
    if model is not None and architecture is not None:
        models.save_weights(model, path / _WEIGHTS)
        facts |= {"model": asdict(architecture), "weights_sha256": fingerprint(model)}
    for name, values in (ids or {}).items():
        (path / name).write_text(_lines(values), encoding="utf-8")
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    (path / "config.yaml").write_text(text, encoding="utf-8")
    lines = "".join(json.dumps(row) + "\n" for row in history)
    if lines:
        (path / "history.jsonl").write_text(lines, encoding="utf-8")
    if evaluation is not None:
        evaluation.to_json(path / "metrics.json")
        evaluation.to_html(path / "report.html")
    (path / "manifest.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _lines(ids: Ids) -> str:
    """A file of ids: numbers line by line, names in quotes under ``path``, whatever is in them."""
    if not any(isinstance(value, str) for value in ids):
        return "".join(f"{value}\n" for value in ids)
    stream = io.StringIO("path\n")
    stream.seek(0, io.SEEK_END)
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([value] for value in ids)
    return stream.getvalue()


def surroundings(device: str, precision: str, processes: Processes) -> dict[str, Any]:
    """What bits and times depend on besides the options, for the manifest.

    Args:
        device: The name of the device, as it was asked for.
        precision: The name of the precision, as it was asked for.
        processes: The processes that worked together.
    """
    place = choose_device(device)
    return {
        **machine(place, choose_precision(precision, place)),
        "processes": processes.count,
        "versions": versions(),
    }
