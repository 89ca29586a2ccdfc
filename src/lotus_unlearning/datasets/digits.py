"""scikit-learn's digits: 1,797 real scans that ship with the library."""

from dataclasses import replace

import numpy as np
import torch

from lotus_unlearning.datasets.data import (
    Cut,
    Data,
    Preprocess,
    assemble,
    forbid_unseen_from_test,
    numbered,
    take,
)
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.splits import stratified

_TEST = 300
_UNSEEN = 300
_TEST_SEED = 1797  # test images are the same whatever the seed


def load_digits(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """300 test images, 300 unseen ones unless ``unseen_share`` says otherwise, the rest to train.

    Official ids are positions in what scikit-learn's ``load_digits`` returns, from 0 to 1796. See
    :func:`lotus_unlearning.datasets.load`; ``root`` is not needed.
    """
    forbid_unseen_from_test(cut, "digits", "has no official test part")
    from sklearn.datasets import load_digits as read

    bunch = read()
    pixels = torch.from_numpy(np.round(bunch.images * (255 / 16)).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target).long()
    classes = tuple(str(c) for c in range(10))
    preprocess = Preprocess((0.3053,), (0.3764,), size)
    images = numbered(ImageTensors(pixels, labels, preprocess, classes=classes))
    test = stratified(labels.numpy(), _TEST / len(labels), _TEST_SEED)
    rest = take(images, np.setdiff1d(np.arange(len(labels)), test))
    if cut.unseen_share is None:
        cut = replace(cut, unseen_share=_UNSEEN / len(rest))
    return assemble("digits", rest, take(images, test), classes, (1, size or 8), cut)
