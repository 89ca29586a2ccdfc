"""The four data sets of unlearning, and seeded ways to choose what to forget."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lotus_unlearning.ids import Ids, positions, some
from lotus_unlearning.images import Images, ImageTensors, as_images, content_hashes

Overlap = Literal["refuse", "drop"]


@dataclass(frozen=True, eq=False)
class Split:
    """Some images of one source, by position: what a method reads.

    Attributes:
        name: For messages: ``"forget"``, ``"retain"``, ``"unseen"``, ``"test"``.
        source: Where the images are.
        ids: ``[N]`` int64, positions in ``source``.
    """

    name: str
    source: Images
    ids: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> Tensor:
        """``[N]`` int64."""
        return self.source.labels[self.ids]

    def take(self, positions: Tensor) -> "Split":
        """The images at ``positions`` ``[M]`` of this split."""
        return Split(self.name, self.source, self.ids[positions.cpu()])

    def sample(self, share: float, generator: torch.Generator) -> "Split":
        """A random ``share`` of the images, at least one, drawn by a CPU ``generator``."""
        count = max(1, round(share * len(self)))
        return self.take(torch.randperm(len(self), generator=generator)[:count])

    def of_labels(self, labels: Sequence[int]) -> "Split":
        """The images whose label is among ``labels``."""
        return self.take(torch.isin(self.labels, torch.as_tensor(labels)).nonzero()[:, 0])

    def __add__(self, other: "Split") -> "Split":
        """Both splits, this one first. Both must have the same source."""
        if self.source is not other.source:
            raise ValueError(f"{self.name} + {other.name}: expected splits of one source")
        name = f"{self.name} + {other.name}"
        return Split(name, self.source, torch.cat([self.ids, other.ids]))


@dataclass(frozen=True, eq=False)
class Splits:
    """What to forget, what to retain, and two sets of images that were never trained on.

    Made by :meth:`from_ids`, :meth:`random` or :meth:`of_class`, which check the input and
    report all problems at once.

    Attributes:
        forget: Training images to be forgotten (D_f).
        retain: The other training images (D_r).
        unseen: Images never trained on, used to calibrate (D_u).
        test: Images never trained on, used only to measure.
        classes: Names of the classes, if known.
    """

    forget: Split
    retain: Split
    unseen: Split | None = None
    test: Split | None = None
    classes: tuple[str, ...] | None = None

    @classmethod
    def from_ids(
        cls,
        train: object,
        forget: Ids,
        *,
        unseen: object = None,
        test: object = None,
        on_overlap: Overlap = "refuse",
    ) -> "Splits":
        """Forget the images named by ``forget``.

        Args:
            train: What the original was trained on: a ``Dataset`` of ``(image, label)`` or a
                pair ``(images, labels)``.
            forget: Positions in ``train``, a boolean mask ``[N]``, or a file: one position or
                relative path per line, or CSV with a column ``id``, ``index`` or ``path``.
            unseen: Images never trained on, for calibration.
            test: Images never trained on, for measuring.
            on_overlap: What to do with images of ``unseen`` or ``test`` whose content equals
                that of a forget image: refuse, or drop them there.

        Raises:
            ValueError: If ids are out of range, duplicated, none or all of the data, or if
                splits share images; one message lists every problem.

        >>> images, labels = torch.rand(10, 1, 4, 4), torch.arange(10) % 2
        >>> splits = Splits.from_ids((images, labels), forget=[1, 4])
        >>> len(splits.forget), len(splits.retain)
        (2, 8)
        """
        source = as_images(train, "train")
        problems: list[str] = []
        ids = positions(forget, source, problems)
        return _build(source, ids, unseen, test, on_overlap, problems)

    @classmethod
    def random(
        cls,
        train: object,
        *,
        fraction: float = 0.1,
        seed: int = 0,
        unseen: object = None,
        test: object = None,
        on_overlap: Overlap = "refuse",
    ) -> "Splits":
        """Forget a random ``fraction`` of each class, drawn by ``seed``; see :meth:`from_ids`.

        >>> images, labels = torch.rand(20, 1, 4, 4), torch.arange(20) % 2
        >>> Splits.random((images, labels), fraction=0.2, seed=1).forget.labels.tolist()
        [0, 0, 1, 1]
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction: expected a share between 0 and 1, got {fraction}")
        source = as_images(train, "train")
        ids = stratified(source.labels.numpy(), fraction, seed)
        ids = ids[np.argsort(source.labels.numpy()[ids], kind="stable")]
        return _build(source, torch.from_numpy(ids), unseen, test, on_overlap, [])

    @classmethod
    def of_class(
        cls,
        train: object,
        label: int,
        *,
        unseen: object = None,
        test: object = None,
        on_overlap: Overlap = "refuse",
    ) -> "Splits":
        """Forget every training image of class ``label``; see :meth:`from_ids`."""
        source = as_images(train, "train")
        ids = (source.labels == label).nonzero()[:, 0]
        known = torch.unique(source.labels).tolist()
        problems = [] if len(ids) else [f"label: expected one of {known}, got {label}"]
        return _build(source, ids, unseen, test, on_overlap, problems)


def stratified(labels: np.ndarray[Any, Any], fraction: float, seed: int) -> Any:
    """Positions of a random ``fraction`` of each class; the total is rounded once.

    Every class gives the floor of its share; what is missing to the total comes from the
    classes with the largest remainders. Returns sorted positions ``[M]`` int64.
    """
    draw = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    shares = np.array([fraction * len(group) for group in groups])
    counts = np.floor(shares).astype(int)
    missing = max(1, round(fraction * len(labels))) - counts.sum()
    counts[np.argsort(counts - shares, kind="stable")[: max(0, missing)]] += 1
    chosen = [draw.permutation(group)[:n] for group, n in zip(groups, counts, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _build(
    source: Images,
    ids: Tensor,
    unseen: object,
    test: object,
    on_overlap: Overlap,
    problems: list[str],
) -> Splits:
    mask = torch.zeros(len(source), dtype=torch.bool)
    mask[ids] = True
    if not problems and mask.all():
        problems.append(
            f"forget: expected some of the {len(source)} training images, got all of them; "
            "to forget everything, delete the model"
        )
    forget = Split("forget", source, ids)
    retain = Split("retain", source, (~mask).nonzero()[:, 0])
    others = _whole(unseen, "unseen", problems), _whole(test, "test", problems)
    if not problems:
        others = _without_overlap(forget, retain, others, on_overlap, problems)
    if problems:
        raise ValueError(_message(problems))
    return Splits(forget, retain, *others, classes=source.classes)


def _message(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems:\n" + "\n".join(f"- {problem}" for problem in problems)


def _whole(data: object, name: str, problems: list[str]) -> Split | None:
    if data is None:
        return None
    try:
        source = as_images(data, name)
    except (TypeError, ValueError) as error:
        problems.append(str(error))
        return None
    return Split(name, source, torch.arange(len(source)))


def _without_overlap(
    forget: Split,
    retain: Split,
    others: tuple[Split | None, ...],
    on_overlap: Overlap,
    problems: list[str],
) -> Any:
    """Compare by content, so that a copied image is found wherever it stands."""
    hashes = set(content_hashes(forget.source, forget.ids))
    kept: list[Split | None] = []
    for split in others:
        if split is None:
            kept.append(None)
            continue
        shared = [h in hashes for h in content_hashes(split.source, split.ids)]
        at = torch.tensor(shared).nonzero()[:, 0]
        if len(at) and on_overlap == "refuse":
            problems.append(
                f"{split.name}: expected images that are not in forget, but {len(at)} are "
                f"the same, at positions {some(at.tolist())}; remove them there or pass "
                'on_overlap="drop"'
            )
        kept.append(split.take((~torch.tensor(shared)).nonzero()[:, 0]))
    if isinstance(retain.source, ImageTensors):  # reading a streamed set for this costs an epoch
        _warn_of_copies(sum(h in hashes for h in content_hashes(retain.source, retain.ids)))
    return tuple(kept)


def _warn_of_copies(copies: int) -> None:
    if copies:
        warnings.warn(
            f"{copies} retained images are copies of images to be forgotten: while they stay in "
            "the training data, their content is not forgotten",
            stacklevel=6,
        )
