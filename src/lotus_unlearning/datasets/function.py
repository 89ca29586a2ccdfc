"""A data set made by a function of the user's own."""

from collections.abc import Mapping
from typing import Any

import torch

from lotus_unlearning.datasets.data import OWN_UNSEEN, Cut, Data, assemble, forbid_unseen_from_test
from lotus_unlearning.images import Images, ImageTensors, as_images
from lotus_unlearning.own_code import imported


def load_function(name: str, *, root: str | None, size: int | None, cut: Cut) -> Data:
    """Call ``module:function`` (found from ``root`` or the current folder).

    It returns a :class:`Data`; or a mapping with ``train``, ``test`` and if there is one
    ``unseen``; or a tuple in the order train, unseen, test, or train, test. See
    :func:`lotus_unlearning.datasets.load`; ``size`` is for the function to decide.
    """
    made = imported(f"python:{name}", "data", root)()
    if isinstance(made, Data):
        forbid_unseen_from_test(cut, f"python:{name}", OWN_UNSEEN)
        return made
    parts = _parts(made, name)
    read = {key: as_images(value, key) for key, value in parts.items() if value is not None}
    train = read["train"]
    classes = train.classes or tuple(str(c) for c in range(int(train.labels.max()) + 1))
    unseen = read.get("unseen")
    return assemble(f"python:{name}", train, read["test"], classes, _shape(train), cut, unseen)


def _parts(made: object, name: str) -> Mapping[str, Any]:
    if isinstance(made, Mapping) and {"train", "test"} <= made.keys() <= {
        "train",
        "unseen",
        "test",
    }:
        return made
    if isinstance(made, tuple) and len(made) in (2, 3):
        keys = ("train", "test") if len(made) == 2 else ("train", "unseen", "test")
        return dict(zip(keys, made, strict=True))
    raise ValueError(
        f"python:{name}: expected a Data, a mapping with train, test and if need be unseen, or a "
        f"tuple of these; got {type(made).__name__}"
    )


def _shape(images: Images) -> tuple[int, int]:
    """Channels and size of what the model will see."""
    if isinstance(images, ImageTensors):
        first = images[0][0]
    else:
        first = next(images.batches([torch.tensor([0])]))[0]
    return (first.shape[0], first.shape[-1]) if first.dim() == 3 else (1, first.shape[-1])
