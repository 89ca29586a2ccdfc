"""The images that an option names: a file of ids, ids, a share, a class, or the authors' choice."""

import os
import re
from collections.abc import Sequence
from typing import Any, Literal

from lotus_unlearning import datasets
from lotus_unlearning.cli.options import say, unknown
from lotus_unlearning.splits import OnOverlap, Splits

_Auto = Literal["auto"]


def choose(
    data: datasets.Data,
    forget: str | float | list[Any],
    seed: int,
    on_overlap: OnOverlap | _Auto = "auto",
) -> Splits:
    """Splits that forget a file of ids, ``ids:3,9``, a share, ``class:NAME`` or ``official``.

    A list holds ids, as the manifest of a run has them.

    With ``"auto"``, copies of images to forget are dropped from unseen and test images of
    published data sets, which hold copies, and refused in other data sets.

    Raises:
        ValueError: If ``forget`` is none of these, or the data set has no such class or choice.
    """
    if on_overlap == "auto":
        on_overlap = "refuse" if ":" in data.name else "drop"
    if isinstance(forget, list):
        splits = Splits.from_ids(data, forget, on_overlap=on_overlap)
    else:
        splits = _chosen(data, str(forget), seed, on_overlap)
    for part in ("unseen", "test"):
        all_images, kept = len(getattr(data, part)), len(getattr(splits, part))
        if kept < all_images:
            copies = "1 copy" if all_images - kept == 1 else f"{all_images - kept:,} copies"
            say(f"{part}: dropped {copies} of images to forget")
    return splits


def _chosen(data: datasets.Data, text: str, seed: int, on_overlap: OnOverlap) -> Splits:
    share = _share(text)
    if text.startswith("class:"):
        label = _label(text.removeprefix("class:"), data.classes)
        return Splits.of_class(data, label, on_overlap=on_overlap)
    if text == "official":
        if data.forget is None:
            raise ValueError(
                "forget: expected a data set whose authors chose images to forget, got "
                f"{data.name}; pass a file of ids, a share between 0 and 1, or class:NAME"
            )
        return Splits.from_ids(data, data.forget, on_overlap=on_overlap)
    if os.path.isfile(text):
        if share is not None:
            say(f"forget: {text} is a file here, and read as a list of ids")
        return Splits.from_ids(data, text, on_overlap=on_overlap)
    if text.startswith("ids:"):
        ids = [cell.strip() for cell in text.removeprefix("ids:").split(",") if cell.strip()]
        return Splits.from_ids(data, ids, on_overlap=on_overlap)
    numbers = re.fullmatch(r"[0-9]+( *, *[0-9]+)*", text)
    if numbers or (share is not None and not 0 < share < 1):
        raise ValueError(
            f"forget: expected a share between 0 and 1, got {text}; for ids write a file, or "
            f"ids:{text if numbers else '3,9'}"
        )
    if share is None:
        raise ValueError(
            "forget: expected a file of ids, ids:3,9, a share between 0 and 1, class:NAME or "
            f"official; got {text!r}, and there is no such file"
        )
    return Splits.random(data, fraction=share, seed=seed, on_overlap=on_overlap)


def _share(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _label(name: str, classes: Sequence[str]) -> int:
    if name in classes:
        return list(classes).index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise ValueError(f"forget: {unknown('class', name, classes)}")
