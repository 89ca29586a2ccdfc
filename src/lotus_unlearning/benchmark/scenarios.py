"""Which images are to be forgotten: at random, a class, a person, or the hard ones.

* random: a share of each class.
* class: every image of one class; other seeds, other classes.
* group: whole groups (all photos of a person) until the share is reached.
* official: the images that the authors of the data set chose.
* memorised: the images whose label the original knows only because it saw them. The proxy for what
  Feldman and Zhang ("What neural networks memorize and why", NeurIPS 2020) measure with thousands
  of models: probability of the label by the original minus that by a model trained on the half of
  the images that this one is not in. It costs the training of two halves.
* near-duplicates: images whose nearest neighbour in the original's penultimate features is
  nearest. The neighbour is retained, and with it what it taught.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from lotus_unlearning import metrics
from lotus_unlearning.benchmark.cells import Forget
from lotus_unlearning.datasets import Data
from lotus_unlearning.splits import Splits, stratified
from lotus_unlearning.wording import did_you_mean

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ROWS = 1024


def splits(forget: Forget, data: Data, chosen: Ints | None = None) -> Splits:
    """The four data sets of a scenario.

    Args:
        forget: The way to choose the images to forget.
        data: The data set.
        chosen: ``[M]`` positions in train, for the kinds that a model had to be asked about.

    Raises:
        ValueError: If the data set has no such class or no groups.
    """
    if forget.kind == "random":
        return Splits.random(data, fraction=forget.fraction, seed=forget.seed, on_overlap="drop")
    if forget.kind == "class":
        return Splits.of_class(data, label(forget, data), on_overlap="drop")
    if forget.kind == "official":
        return Splits.from_ids(data, _official(data), on_overlap="drop")
    if forget.kind == "group":
        chosen = _groups(data, forget.fraction, forget.seed)
    mask = torch.zeros(len(data.train), dtype=torch.bool)  # positions: ids are the official ones
    mask[torch.as_tensor(chosen)] = True
    return Splits.from_ids(data, mask, on_overlap="drop")


def check(forget: Forget, data: Data) -> None:
    """What can be said of a choice before any model is trained.

    Raises:
        ValueError: If the data set has no such class, no groups, or no choice of its authors.
    """
    if forget.kind == "class":
        label(forget, data)
    if forget.kind == "official":
        _official(data)
    if forget.kind == "group":
        _groups(data, forget.fraction, forget.seed)


def label(forget: Forget, data: Data) -> int:
    """The class that is forgotten: the one named, or number ``seed`` of a shuffled list of all.

    So no class is drawn twice before each was drawn once.
    """
    if forget.label is None:
        shuffled = np.random.default_rng(0).permutation(len(data.classes))
        return int(shuffled[forget.seed % len(shuffled)])
    if forget.label not in data.classes:
        hint = did_you_mean(forget.label, data.classes)
        raise ValueError(
            f"forget: expected a class of {data.name} ({', '.join(data.classes[:20])}), got "
            f"{forget.label!r}{hint}"
        )
    return data.classes.index(forget.label)


def _official(data: Data) -> torch.Tensor:
    """Official ids."""
    if data.forget is None:
        raise ValueError(
            f"forget: expected a data set whose authors chose images to forget, got {data.name}"
        )
    return data.forget


def _groups(data: Data, fraction: float, seed: int) -> Ints:
    if data.groups is None:
        raise ValueError(f"forget: expected a data set with groups, but {data.name} has none")
    groups = data.groups.numpy()
    names, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(names)
    together = np.cumsum(sizes[np.searchsorted(names, order)])
    count = int(np.searchsorted(together, fraction * len(groups))) + 1
    return np.flatnonzero(np.isin(groups, order[:count])).astype(np.int64)


def halves(labels: Ints, seed: int) -> tuple[Ints, Ints]:
    """Two halves of the images, stratified, drawn by ``seed``: positions, sorted."""
    first = stratified(labels, 0.5, seed)
    return first, np.setdiff1d(np.arange(len(labels)), first)


def memorisation(
    original: Floats, by_half: Mapping[int, Floats], labels: Ints, seed: int
) -> Floats:
    """How much better the original knows each label than a model that never saw the image.

    Args:
        original: ``[N, C]`` logits of the original on its training images.
        by_half: 0 and 1 -> ``[N, C]`` logits of the model trained on that half.
        labels: ``[N]`` class numbers.
        seed: The seed of :func:`halves`.

    Returns:
        ``[N]`` in [-1, 1].
    """
    rows = np.arange(len(labels))
    known = metrics.softmax(original)[rows, labels]
    unseen = np.empty(len(labels))
    for half, seen in enumerate(halves(labels, seed)):
        others = np.setdiff1d(rows, seen)
        unseen[others] = metrics.softmax(by_half[half])[others, labels[others]]
    values: Floats = known - unseen
    return values


def highest(values: Floats, count: int) -> Ints:
    """Positions of the ``count`` highest of ``values`` ``[N]``, sorted."""
    return np.sort(np.argsort(-values, kind="stable")[:count])


def near_duplicates(features: Floats, count: int) -> Ints:
    """Images that have a near copy among the others; the copy is never chosen itself.

    Args:
        features: ``[N, D]`` features of the training images; near means a large cosine.
        count: The number of images wanted, at most half of all.

    Returns:
        Sorted positions ``[M]`` of the nearest, M <= ``count``.
    """
    cosine, nearest = _nearest(features)
    chosen, kept = set[int](), set[int]()
    for image in np.argsort(-cosine, kind="stable").tolist():
        partner = int(nearest[image])
        if image not in kept and partner not in chosen:
            chosen.add(image)
            kept.add(partner)
        if len(chosen) == count:
            break
    return np.array(sorted(chosen), dtype=np.int64)


def _nearest(features: Floats) -> tuple[Floats, Ints]:
    """Cosine of each row with its nearest other row, and which row that is."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    cosine, nearest = np.empty(len(unit)), np.empty(len(unit), dtype=np.int64)
    for start in range(0, len(unit), _ROWS):
        block = unit[start : start + _ROWS] @ unit.T
        rows = np.arange(len(block))
        block[rows, start + rows] = -np.inf
        nearest[start + rows], cosine[start + rows] = block.argmax(axis=1), block.max(axis=1)
    return cosine, nearest
