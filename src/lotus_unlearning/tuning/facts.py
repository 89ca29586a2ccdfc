"""What a search depends on, as plain data: kept with its trials, so that no others are mixed in."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from lotus_unlearning.evaluation import describe, versions
from lotus_unlearning.images import Images, ImageTensors, content_hashes
from lotus_unlearning.methods.spaces import Space
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.splits import Split, Splits
from lotus_unlearning.tuning.objective import MEASURES, Place
from lotus_unlearning.unlearning import Method

Facts = dict[str, Any]


def facts(
    model: nn.Module,
    chosen: Sequence[tuple[Splits, int]],
    start: Method,
    bounds: Space,
    seed: int,
    place: Place,
) -> Facts:
    """Everything that determines the trials of a search, but the machine.

    Args:
        model: The original.
        chosen: The splits and the seed of each draw.
        start: The method as its authors have it.
        bounds: The bounds of the settings that are searched.
        seed: The seed of the search.
        place: The batch size and the precision.
    """
    sets = list({id(splits): splits for splits, _ in chosen}.values())
    number = {id(splits): i for i, splits in enumerate(sets)}
    return {
        "defaults": describe(start)["settings"],
        "space": {key: dataclasses.asdict(known) for key, known in bounds.items()},
        "measures": MEASURES,
        "weights_sha256": fingerprint(model),
        "images": [_images(splits) for splits in sets],
        "draws": [{"images": number[id(splits)], "seed": draw} for splits, draw in chosen],
        "seed": seed,
        "batch_size": place.batch_size,
        "precision": place.precision,
        "versions": {**versions(), "optuna": version("optuna")},
    }


def refuse_others(known: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    """Refuse to go on with a search that was another one.

    Args:
        known: The facts of the search that is there.
        asked: The facts of this one.
        path: The file of the search that is there.

    Raises:
        ValueError: If they differ; says in what.
    """
    differing = [key for key in {**known, **asked} if known.get(key) != asked.get(key)]
    if not differing:
        return
    told = (
        f"{key}: expected {_short(known.get(key))}, got {_short(asked.get(key))}"
        for key in differing
    )
    raise ValueError(
        f"{path}: expected the search that is there to go on, but this is another:\n"
        + "".join(f"- {line}\n" for line in told)
        + "choose another place (--out; in Python: journal), or delete that file"
    )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _images(splits: Splits) -> dict[str, dict[str, Any]]:
    parts = {name: getattr(splits, name) for name in ("forget", "retain", "unseen")}
    return {name: _content(part) for name, part in parts.items()}


def _content(split: Split) -> dict[str, Any]:
    """How many images, and a digest of their positions, labels, pixels and preprocessing."""
    digest = blake2b(_preprocessing(split.source).encode(), digest_size=10)
    digest.update(split.ids.numpy().tobytes() + split.labels.numpy().tobytes())
    if not getattr(split.source, "random", False):  # else each reading gives other pixels
        for image in content_hashes(split.source, split.ids):
            digest.update(image)
    return {"images": len(split), "digest": digest.hexdigest()}


def _preprocessing(source: Images) -> str:
    """As far as it can be told: a function's settings are not in its name."""
    function = source.preprocess if isinstance(source, ImageTensors) else None
    if function is None or dataclasses.is_dataclass(function):
        return repr(function)
    return getattr(function, "__qualname__", type(function).__qualname__)
