"""What the options name: models in run folders or files, and the data that they were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.cli import options as options_of
from lotus_unlearning.cli import trained_on
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.datasets import Data
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Unlearned

GONE = ("forgotten", "forgotten_before", "left_out")
"""Keys of the lists, in a manifest, of training images that a model does not know."""
_WEIGHTS = (".safetensors", ".pt", ".pth", ".bin")
_OF_DATA = ("data", "root", "limit", "size", "data_seed", "unseen_from", "on_overlap")


@dataclass(frozen=True)
class Loaded:
    """A model that an option names.

    Attributes:
        model: In evaluation mode.
        architecture: How it was built.
        run: Its run; ``None`` if it comes from a file of weights.
    """

    model: nn.Module
    architecture: runs.Architecture
    run: runs.Run | None

    @property
    def with_cost(self) -> nn.Module | Unlearned:
        """With its history, time and memory, where a run knows them."""
        facts = self.run.manifest if self.run is not None else {}
        if self.run is None or not {"method", "seconds", "seed"} <= facts.keys():
            return self.model
        history = [dict(row) for row in self.run.history]
        cost = facts["seconds"], facts.get("peak_memory_bytes"), facts["seed"]
        return Unlearned(self.model, facts["method"], history, *cost)


def first_run(*paths: str | None) -> runs.Run | None:
    """The first of ``paths`` that is a run folder, read.

    Raises:
        ValueError: If it is none, or one of ``paths`` is the name of a file that is not there.
    """
    named = [path for path in paths if path is not None and not Path(path).is_file()]
    for path in named:
        if Path(path).suffix in _WEIGHTS and not Path(path).exists():
            raise ValueError(f"expected a file of weights at {path!r}, found none")
    return runs.read(named[0]) if named else None


def recipe_of(path: Any) -> Recipe | None:
    """How the model at a path was trained, if that is a run folder that says so.

    What is wrong with a folder is said when its model is loaded.
    """
    if not isinstance(path, str) or Path(path).is_file():
        return None
    try:
        return runs.origin(path).recipe
    except ValueError:
        return None


def inherit_data(options: Any, given: set[str], run: runs.Run | None) -> None:
    """Options of the data set that were not given become those of the model's own run.

    Args:
        options: As they were read.
        given: Names of those that were given.
        run: ``None``: the model is a file, which knows of no data set.

    Raises:
        ValueError: If none says which data set.
    """
    known = {} if run is None else run.config
    if options.data is None and known.get("data") is None:
        where = "a model from a file" if run is None else f"{run.path}, as its config.yaml has none"
        raise ValueError(f"data: expected a data set for {where}; pass --data")
    same = options.data in (None, known.get("data"))
    for key in _OF_DATA:
        if key not in given and key in known and (same or key != "root"):
            setattr(options, key, known[key])


def load_model(flag: str, path: str, data: Data, here: TrainingImages, options: Any) -> Loaded:
    """A model that was trained on the images of ``data``, as far as that can be known.

    Args:
        flag: The option that ``path`` was given by.
        path: To a run folder, or a file of weights.
        data: What it is to classify.
        here: The training images of ``data``.
        options: With ``architecture``, for a file.

    Raises:
        ValueError: If it does not fit, or was trained on other images.
    """
    model, built = options_of.load_model(path, options.architecture, data)
    run = None if Path(path).is_file() else runs.read(path)
    if run is not None:
        trained_on.require_same(run, here, options, flag)
    return Loaded(model, built, run)


def require_gold(gold: Loaded, path: str, splits: Splits, here: TrainingImages) -> None:
    """The retrained model never saw the images to forget.

    Raises:
        ValueError: If it did: that is no gold. A file of weights cannot tell.
    """
    if gold.run is None:
        say(f"gold: {path} is a file: whether it saw the images to forget, it does not say")
        return
    what = _never_seen(gold.run)
    left_out = trained_on.among(gold.run, what, splits.forget, here)
    seen = len(left_out) - sum(left_out)
    if seen:
        raise ValueError(
            f"gold: expected a model that never saw the images to forget ({len(splits.forget):,}), "
            f"but {path!r} was trained on {seen:,} of them; train it with lotus train --without "
            "and the same ids"
        )
    more = len(gold.run.manifest.get(what, ())) - len(splits.forget)
    if more > 0:
        say(f"gold: {path} was retrained without {more:,} more images than those to forget")


def _never_seen(run: runs.Run) -> str:
    """Key of the images that it was not trained on: what Retrain forgot, it left out."""
    by = run.manifest.get("method", {}).get("name")
    return "forgotten" if by == "Retrain" and "forgotten" in run.manifest else "left_out"


def require_original(original: Loaded, unlearned: Loaded, path: str) -> None:
    """The original is what the unlearned model was made from, if its run says so.

    A run that was trained from scratch, such as a gold in the unlearned model's place, began from
    no original.

    Raises:
        ValueError: If it is another one.
    """
    facts = unlearned.run.manifest if unlearned.run is not None else {}
    known = facts.get("weights_sha256_before") if "forgotten" in facts else None
    found = fingerprint(original.model)
    if unlearned.run is not None and known not in (None, found):
        raise ValueError(
            f"original: expected the model that {str(unlearned.run.path)!r} began from (SHA-256 "
            f"{str(known)[:12]}...), got another one ({found[:12]}...) in {path!r}"
        )


def without_gone(
    model: Loaded,
    path: str,
    splits: Splits,
    here: TrainingImages,
    kinds: Sequence[str] = GONE,
) -> Splits:
    """``splits`` whose retained images the model still knows: none that it has forgotten before.

    To teach those again would undo what an earlier run did.

    Args:
        model: Whose run says what is gone.
        path: What to call it.
        splits: As chosen.
        here: The training images.
        kinds: Keys of lists in the manifest.
    """
    run = model.run
    if run is None:
        return splits
    gone, again = (
        torch.tensor([trained_on.among(run, kind, part, here) for kind in kinds]).any(dim=0)
        for part in (splits.retain, splits.forget)
    )
    if again.any():
        say(f"forget: {int(again.sum()):,} of the images are gone from {path} already")
    if not gone.any():
        return splits
    say(f"retain: without {int(gone.sum()):,} images that are gone from {path} already")
    return replace(splits, retain=splits.retain.take((~gone).nonzero()[:, 0]))


def gone_before(model: Loaded) -> dict[str, Any]:
    """Ids and content of all images that the model did not know, for the manifest of a run."""
    facts = model.run.manifest if model.run is not None else {}
    ids = [facts.get(kind) or [] for kind in GONE]
    content = [facts.get(f"{kind}_content") or [] for kind in GONE]
    if not any(ids):
        return {}
    known = all(len(c) == len(i) for c, i in zip(content, ids, strict=True))
    return {
        "forgotten_before": [one for some in ids for one in some],
        "forgotten_before_content": [c for some in content for c in some] if known else None,
    }
