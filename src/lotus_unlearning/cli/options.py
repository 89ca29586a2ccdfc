"""Options that several commands share, and what becomes of them."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser
from torch import nn

from lotus_unlearning import datasets, models, runs
from lotus_unlearning.runtime import Processes, choose_device, choose_precision
from lotus_unlearning.wording import did_you_mean, harmless

Namespace = Any


def add_data(made: ArgumentParser, default: str | None, limits: str = "all") -> None:
    """Options that name a data set.

    Args:
        made: The parser of the command.
        default: Name of the data set; ``None``: what is not given is that of the model's run.
        limits: How many training images there are without ``--limit``, in words.
    """
    of_run = "; what is not given of the data is as the model was trained" * (default is None)
    made.add_argument(
        "--data",
        type=str | None,
        default=default,
        help=f"{', '.join(datasets.DATASETS)} (lotus list data tells more{of_run})",
    )
    made.add_argument("--root", type=str | None, default=None, help="folder of the data set")
    made.add_argument(
        "--limit",
        type=int | None,
        default=None,
        help=f"at most N training images (without: {limits})",
    )
    made.add_argument(
        "--size",
        type=int | None,
        default=None,
        help="resize images to N pixels, shorter side first, and cut them square (without: as the "
        "data set has them; imagefolder:, webdataset: and hf: 224, which is slow for small images)",
    )
    made.add_argument("--data_seed", type=int, default=0, help="chooses unseen images and --limit")
    made.add_argument(
        "--unseen_from",
        type=Literal["train", "test"],
        default="train",
        help="official part that unseen images are taken from: a share of train (default), or "
        "half of test, as the LoTUS paper does",
    )


def add_forget(made: ArgumentParser, flag: str, default: str | None, meaning: str) -> None:
    """The option that names images to forget, and the seed of a random choice."""
    made.add_argument(
        flag,
        type=str | int | float | None,
        default=default,
        help=f"{meaning}: a file of ids (one per line, or CSV with a column path, id or index), "
        "ids:3,9,14, a share such as 0.1 (drawn by --forget_seed, stratified), class:NAME, or "
        "official (the choice of the data set's authors, where they made one). An id is the "
        "position, from 0, in the data set as it is published, whatever --data_seed and --limit; "
        "for image folders it may be a path relative to the folder that is trained on",
    )
    made.add_argument("--forget_seed", type=int, default=0, help="draws a share of images")
    made.add_argument(
        "--on_overlap",
        type=Literal["auto", "refuse", "drop"],
        default="auto",
        help="what to do with unseen and test images that are copies of images to forget; auto: "
        "drop for published data sets, which hold copies, refuse for those with a colon in their "
        "name, as imagefolder:PATH",
    )


def add_batch_size(made: ArgumentParser) -> None:
    """The option of commands that unlearn."""
    made.add_argument(
        "--batch_size",
        type=int,
        default=128,
        help="images per step of unlearning, where the method has no batch_size of its own",
    )


def add_run(made: ArgumentParser, out: str, seed: str) -> None:
    """Options of every run; ``seed`` says what it is of."""
    made.add_argument("--seed", type=int, default=0, help=seed)
    made.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1, ...")
    made.add_argument(
        "--precision", type=str, default="auto", help="auto, float32, bfloat16 or float64"
    )
    made.add_argument(
        "--out", type=str | None, default=None, help=f"new folder (default: next free {out})"
    )


def add_checkpoint(made: ArgumentParser) -> None:
    """The option of commands that change a model epoch by epoch."""
    made.add_argument(
        "--checkpoint",
        type=str | None,
        default=None,
        help="folder for where the work stands after each epoch: when it was killed, the same "
        "command goes on from there; emptied when the run is written",
    )


def add_shard(made: ArgumentParser) -> None:
    """The option of commands that several processes may run."""
    made.add_argument(
        "--shard",
        action="store_true",
        help="each of several processes (torchrun) holds a part of the model, not all of it: for "
        "models that do not fit",
    )


def add_compile(made: ArgumentParser) -> None:
    """The option of commands whose time is that of the model."""
    made.add_argument(
        "--compile",
        action="store_true",
        help="compile the blocks that the model repeats (transformers): steps on a GPU take a "
        "fifth less time, after some seconds for the compiler",
    )


def check_run(chosen: Namespace) -> None:
    """What can be said of the options of a run without any work.

    Raises:
        ValueError: If a seed or the batch size is out of range, there is no such device or
            precision, or one process is to share a model; lists every problem.
    """
    problems = [
        f"{key}: expected 0 to 2**63 - 1, got {value}"
        for key in ("seed", "data_seed", "forget_seed")
        if (value := getattr(chosen, key, None)) is not None and not 0 <= value < 2**63
    ]
    if getattr(chosen, "batch_size", 1) < 1:
        problems.append(f"batch_size: expected at least 1, got {chosen.batch_size}")
    try:
        choose_precision(chosen.precision, choose_device(chosen.device))
    except ValueError as error:
        problems.append(str(error))
    try:
        if getattr(chosen, "shard", False):
            Processes.start().require_several()
    except ValueError as error:
        problems.append(str(error))
    if len(problems) == 1:
        raise ValueError(problems[0])
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise ValueError(f"{len(problems)} problems:\n{listed}")


def load_data(options: Namespace) -> datasets.Data:
    """The data set that the options name.

    Raises:
        ValueError: If they name none, or it cannot be read.
    """
    if options.data is None:
        raise ValueError("data: expected the name of a data set, got null; pass --data")
    return datasets.load(
        options.data,
        root=options.root,
        seed=options.data_seed,
        limit=options.limit,
        unseen_from=options.unseen_from,
        size=options.size,
    )


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for an unknown name: the known ones and the nearest."""
    names = list(known)
    if not names:
        return f"{what}: expected none, as there are none; got {name!r}"
    return f"{what}: expected one of {', '.join(names)}; got {name!r}{did_you_mean(name, names)}"


def add_model(made: ArgumentParser, flag: str, meaning: str, *, required: bool = False) -> None:
    """An option that names a trained model."""
    made.add_argument(
        flag,
        type=str if required else str | None,
        required=required,
        help=f"{meaning}: a run folder, or a file of weights (.safetensors, .pt) with "
        "--architecture",
    )


def add_architecture(made: ArgumentParser) -> None:
    """The option for models in files."""
    made.add_argument(
        "--architecture",
        type=str | None,
        default=None,
        help="how to build the model of a file of weights; see lotus list models",
    )


def architecture(name: str, data: datasets.Data) -> runs.Architecture:
    """The architecture ``name``, fitted to the data set."""
    return runs.Architecture(name, len(data.classes), data.channels, data.image_size)


def load_model(
    path: str, name: str | None, data: datasets.Data
) -> tuple[nn.Module, runs.Architecture]:
    """A model from a run folder, or from a file of weights and an architecture.

    Raises:
        ValueError: If the file comes without an architecture, its weights do not fit, or the model
            was made for images of another shape or other classes.
    """
    if Path(path).is_file():
        if name is None:
            raise ValueError(
                f"architecture: expected how to build the model of {path!r}; pass --architecture "
                "resnet18, timm:NAME, torchvision:NAME or python:module:function"
            )
        built = architecture(name, data)
        return models.load_weights(built.build(), path).eval(), built
    run = runs.read(path)
    made = run.architecture
    wanted = architecture(made.name, data)
    if made != wanted:
        raise ValueError(
            f"model: expected one for {_said(wanted)}, as {data.name} has them here, got one for "
            f"{_said(made)} in {path!r}; check --data and --size"
        )
    return run.model(), made


def _said(built: runs.Architecture) -> str:
    channels = f"{built.channels} channel{'s' if built.channels > 1 else ''}"
    return f"{built.classes} classes and images of {channels} and {built.image_size} pixels"


def say(line: str) -> None:
    """A line about what is going on: to standard error, so that tables can be piped."""
    print(harmless(line), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """A result: to standard output."""
    print(harmless(text))
