"""Options that several commands share, and what becomes of them."""

import argparse
import difflib
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, DefaultHelpFormatter
from torch import nn

from lotus_unlearning import datasets, models, runs
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Unlearned

Namespace = Any


class _Help(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):  # type: ignore[misc]
    """Types and defaults beside each option; examples as they are written."""


def parser(command: str, summary: str, examples: str) -> ArgumentParser:
    """A parser with a config file, and examples at the end of its help."""
    made = ArgumentParser(
        prog=f"lotus {command}",
        description=summary,
        formatter_class=_Help,
        epilog="examples:\n" + textwrap.indent(textwrap.dedent(examples).strip(), "  "),
    )
    made.add_argument("--config", action="config", help="YAML file with any of these options")
    return made


def add_data(made: ArgumentParser, default: str | None) -> None:
    """Options that name a data set."""
    made.add_argument(
        "--data",
        type=str | None,
        default=default,
        help=f"{', '.join(datasets.DATASETS)} (lotus list data tells more)",
    )
    made.add_argument("--root", type=str | None, default=None, help="folder of the data set")
    made.add_argument("--limit", type=int | None, default=None, help="at most N training images")
    made.add_argument("--size", type=int | None, default=None, help="resize images to N pixels")
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
        help=f"{meaning}: a file of ids (one per line, or CSV with a column id, index or path), "
        "a share such as 0.1 (drawn by --forget_seed, stratified), class:NAME, or official (the "
        "choice of the data set's authors, where they made one)",
    )
    made.add_argument("--forget_seed", type=int, default=0, help="draws a share of images")


def add_run(made: ArgumentParser, out: str) -> None:
    """Options of every run."""
    made.add_argument("--seed", type=int, default=0, help="of training or unlearning")
    made.add_argument("--batch_size", type=int, default=128, help="images per step")
    made.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1, ...")
    made.add_argument(
        "--precision", type=str, default="auto", help="auto, float32, bfloat16 or float64"
    )
    made.add_argument(
        "--out", type=str | None, default=None, help=f"new folder (default: next free {out})"
    )


def load_data(options: Namespace) -> datasets.Data:
    """The data set that the options name."""
    return datasets.load(
        options.data,
        root=options.root,
        seed=options.data_seed,
        limit=options.limit,
        unseen_from=options.unseen_from,
        size=options.size,
    )


def choose(data: datasets.Data, forget: str | int | float, seed: int) -> Splits:
    """Splits that forget what ``forget`` says: a file, a share, ``class:NAME`` or ``official``.

    Raises:
        ValueError: If it says none of these, or the data set has no such class or choice; images
            shared with unseen or test are dropped there, as published data sets hold copies.
    """
    others = {"unseen": data.unseen, "test": data.test}
    text = str(forget)
    if text.startswith("class:"):
        label = _label(text.removeprefix("class:"), data.classes)
        return Splits.of_class(data.train, label, on_overlap="drop", **others)
    if text == "official":
        if data.forget is None:
            raise ValueError(
                "forget: expected a data set whose authors chose images to forget, got "
                f"{data.name}; pass a file of ids, a share between 0 and 1, or class:NAME"
            )
        return Splits.from_ids(data.train, data.forget, on_overlap="drop", **others)
    if not Path(text).exists() and _share(text) is not None:
        fraction = _share(text)
        assert fraction is not None
        return Splits.random(data.train, fraction=fraction, seed=seed, on_overlap="drop", **others)
    if not Path(text).is_file():
        raise ValueError(
            "forget: expected a file of ids, a share between 0 and 1, class:NAME or official; got "
            f"{text!r}, and there is no such file"
        )
    return Splits.from_ids(data.train, text, on_overlap="drop", **others)


def _share(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _label(name: str, classes: Sequence[str]) -> int:
    if name in classes:
        return list(classes).index(name)
    if name.isdigit() and int(name) < len(classes):
        return int(name)
    raise ValueError(f"forget: {unknown('class', name, classes)}")


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for an unknown name: the known ones and the nearest."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{what}: expected one of {', '.join(names)}; got {name!r}{hint}"


def plain(options: Namespace, *without: str) -> dict[str, Any]:
    """Options as plain data for ``config.yaml``, without those that name this run only."""
    values: Mapping[str, Any] = options.as_dict()
    return {k: v for k, v in values.items() if k not in {"config", "out", *without}}


def add_model(made: ArgumentParser, flag: str, *, required: bool) -> None:
    """Options that name a trained model."""
    made.add_argument(
        flag,
        type=str,
        required=required,
        help="a run folder, or a file of weights (.safetensors, .pt) with --architecture",
    )
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
        ValueError: If the file comes without an architecture, or its weights do not fit.
    """
    if not Path(path).is_file():
        run = runs.read(path)
        return run.model(), run.architecture
    if name is None:
        raise ValueError(
            f"architecture: expected how to build the model of {path!r}; pass --architecture "
            "resnet18, timm:NAME, torchvision:NAME or python:module:function"
        )
    built = architecture(name, data)
    model = built.build()
    models.load_weights(model, path)
    return model, built


def load_unlearned(path: str, name: str | None, data: datasets.Data) -> nn.Module | Unlearned:
    """As :func:`load_model`; a run folder brings its history, time and memory along."""
    if Path(path).is_file():
        return load_model(path, name, data)[0]
    run = runs.read(path)
    facts = run.manifest
    return Unlearned(
        run.model(),
        facts["method"],
        [dict(row) for row in run.history],
        facts["seconds"],
        facts["peak_memory_bytes"],
        facts["seed"],
    )


def load_gold(
    path: str | None, splits: Splits, name: str | None = None, data: datasets.Data | None = None
) -> nn.Module | Unlearned | None:
    """The retrained model, if one is named.

    Raises:
        ValueError: If it was trained on images that are to be forgotten: that is no gold.
    """
    if path is None:
        return None
    if Path(path).is_dir():
        left_out = set(runs.read(path).manifest.get("left_out", ()))
        known = set(splits.forget.ids.tolist()) - left_out
        if known:
            raise ValueError(
                f"gold: expected a model that never saw the {len(splits.forget)} images to "
                f"forget, but {path!r} was trained on {len(known)} of them; train it with "
                "lotus train --without and the same ids"
            )
    if data is None and Path(path).is_file():
        raise ValueError("gold: expected a run folder made by lotus train --without, got a file")
    return load_unlearned(path, name, data)  # type: ignore[arg-type]


def inherit_data(options: Namespace, path: str | None = None) -> None:
    """Options of the data set that were not given are those of the model's own run.

    Raises:
        ValueError: If the model is a file, which knows of no data set.
    """
    source = path or options.model
    if options.data is not None:
        return
    if Path(source).is_file():
        raise ValueError("data: expected a data set for a model from a file; pass --data")
    config = runs.read(source).config
    for key in ("data", "root", "limit", "size", "data_seed"):
        setattr(options, key, config.get(key))
    options.unseen_from = config.get("unseen_from", "train")  # earlier runs lack it
    if options.forget is None:
        options.forget = config.get("forget")
        options.forget_seed = config.get("forget_seed", 0)


def say(line: str) -> None:
    """A line about what is going on: to standard error, so that tables can be piped."""
    print(line, file=sys.stderr, flush=True)
