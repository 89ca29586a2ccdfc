"""scikit-learn's digits, one in ten with a wrong label: what a model can only know by heart."""

from dataclasses import replace

import numpy as np
import torch

from lotus_unlearning.datasets.data import Cut, Data
from lotus_unlearning.datasets.digits import load_digits
from lotus_unlearning.images import ImageTensors

NAME = "digits-mislabelled"
_IMAGES = 1797
_WRONG = 180
_SEED = 10


def load_mislabelled(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """Digits whose training images have a wrong label at 180 fixed places among all 1,797.

    Unseen and test images keep their labels. ``forget`` names the wrong ones among the training
    images: 120 of 1,197, give or take a few. Official ids are those of ``digits``.
    See :func:`lotus_unlearning.datasets.load`; ``root`` is not needed.
    """
    data = load_digits(root=root, size=size, cut=cut)
    train = data.train
    assert isinstance(train, ImageTensors)
    assert train.official is not None
    draw = np.random.default_rng(_SEED)
    wrong = torch.zeros(_IMAGES, dtype=torch.bool)
    wrong[torch.from_numpy(draw.permutation(_IMAGES)[:_WRONG])] = True
    shift = torch.from_numpy(draw.integers(1, len(data.classes), _IMAGES))
    ids = train.official.ids
    labels = torch.where(wrong[ids], (train.labels + shift[ids]) % len(data.classes), train.labels)
    forget = ids[wrong[ids]]
    return replace(
        data,
        train=replace(train, labels=labels),
        name=NAME,
        forget=forget if len(forget) else None,
    )
