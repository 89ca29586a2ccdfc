"""The four data sets of unlearning, and seeded ways to choose what to forget."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from numbers import Real
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np
import torch
from torch import Tensor

from lotus_unlearning.classes import by_class
from lotus_unlearning.ids import Ids, positions
from lotus_unlearning.images import Data, Images, as_images
from lotus_unlearning.overlap import find_overlap

OnOverlap = Literal["refuse", "drop"]


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        return f"Split({self.name}: {len(self):,} of {self.source!r})"

    @property
    def labels(self) -> Tensor:
        """``[N]`` int64."""
        return self.source.labels[self.ids]

    @property
    def official_ids(self) -> list[int] | list[str]:
        """What each image is called outside this program, for manifests and lists.

        Its name, else its official id, else its position in the source. Given to
        :meth:`Splits.from_ids`, they name the same images.
        """
        source, numbers = self.source, self.ids
        if source.names is not None:
            return [source.names[i] for i in numbers.tolist()]
        if source.official is not None:
            numbers = source.official.ids[numbers]
        found: list[int] = numbers.tolist()
        return found

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


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        parts = (self.forget, self.retain, self.unseen, self.test)
        return f"Splits({', '.join(f'{p.name} {len(p):,}' for p in parts if p is not None)})"

    @property
    def gone(self) -> Tensor:
        """``[K]``: the classes that are forgotten altogether, of which no image is retained."""
        classes: Tensor = torch.unique(self.forget.labels)
        return classes[~torch.isin(classes, self.retain.labels)]

    @classmethod
    def from_ids(
        cls,
        train: object,
        forget: Ids,
        *,
        unseen: object = None,
        test: object = None,
        on_overlap: OnOverlap = "refuse",
    ) -> "Splits":
        """Forget the images named by ``forget``.

        Args:
            train: What the original was trained on: a ``Dataset`` of ``(image, label)``, a pair
                ``(images, labels)``, a name such as ``"digits"``, or what
                :func:`lotus_unlearning.datasets.load` returned. The latter two bring ``unseen``
                and ``test`` along.
            forget: Ids, a boolean mask ``[N]`` over ``train``, or a file: one id per line, or CSV
                (commas, semicolons or tabs) with a column ``path``, ``id`` or ``index``. Where
                images have names (relative paths in an image folder), ``path`` wins, and columns
                that name two images in a row are refused.

                An id is a position in ``train``, from 0. For a data set loaded by name it is the
                position in the data set as it is published (its training part; all images, where
                it has no parts), so that it means the same image whatever ``seed`` and ``limit``
                chose; an image that was set aside by them is refused. :attr:`Split.official_ids`
                gives ids back.
            unseen: Images never trained on, for calibration.
            test: Images never trained on, for measuring.
            on_overlap: What to do with images of ``unseen`` or ``test`` whose content equals
                that of a forget image: refuse, or drop them there. Copies of retained images are
                warned of, if ``train`` is in memory.

        Raises:
            ValueError: If ids are out of range, duplicated, none or all of the data, or if
                splits share images; one message lists every problem.

        >>> images, labels = torch.rand(10, 1, 4, 4), torch.arange(10) % 2
        >>> Splits.from_ids((images, labels), forget=[1, 4])
        Splits(forget 2, retain 8)
        """
        source, others, problems = _sources(train, unseen, test)
        ids = positions(forget, source, others, problems)
        return _build(source, ids, others, on_overlap, problems)

    @classmethod
    def random(
        cls,
        train: object,
        *,
        fraction: float = 0.1,
        seed: int = 0,
        unseen: object = None,
        test: object = None,
        on_overlap: OnOverlap = "refuse",
    ) -> "Splits":
        """Forget a random ``fraction`` of each class, drawn by ``seed``; see :meth:`from_ids`.

        >>> images, labels = torch.rand(20, 1, 4, 4), torch.arange(20) % 2
        >>> Splits.random((images, labels), fraction=0.2, seed=1).forget.labels.tolist()
        [0, 0, 1, 1]
        >>> Splits.random("digits", fraction=0.1, seed=0)
        Splits(forget 120, retain 1,077, unseen 300, test 300)
        """
        if not isinstance(fraction, Real) or not 0 < fraction < 1:
            raise ValueError(f"fraction: expected a share between 0 and 1, got {fraction!r}")
        source, others, problems = _sources(train, unseen, test)
        ids = stratified(source.labels.numpy(), fraction, seed)
        ids = ids[np.argsort(source.labels.numpy()[ids], kind="stable")]
        return _build(source, torch.from_numpy(ids), others, on_overlap, problems)

    @classmethod
    def of_class(
        cls,
        train: object,
        label: int,
        *,
        unseen: object = None,
        test: object = None,
        on_overlap: OnOverlap = "refuse",
    ) -> "Splits":
        """Forget every training image of class ``label``; see :meth:`from_ids`."""
        source, others, problems = _sources(train, unseen, test)
        whole = isinstance(label, SupportsIndex)  # int, and the integers of NumPy and torch
        ids = torch.arange(len(source))[source.labels == label if whole else []]
        known = torch.unique(source.labels).tolist()
        if not len(ids):
            problems.append(f"label: expected one of {known}, got {label!r}")
        return _build(source, ids, others, on_overlap, problems)


def stratified(labels: np.ndarray[Any, Any], fraction: float, seed: int) -> Any:
    """Positions of a random ``fraction`` of each class; the total is rounded once.

    Every class gives the floor of its share; what is missing to the total comes from the
    classes with the largest remainders. Returns sorted positions ``[M]`` int64.
    """
    draw = np.random.default_rng(seed)
    groups = list(by_class(labels).values())
    shares = np.array([fraction * len(group) for group in groups])
    counts = np.floor(shares).astype(int)
    missing = max(1, round(fraction * len(labels))) - counts.sum()
    counts[np.argsort(counts - shares, kind="stable")[: max(0, missing)]] += 1
    chosen = [draw.permutation(group)[:n] for group, n in zip(groups, counts, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _sources(train: object, unseen: object, test: object) -> tuple[Images, dict[str, Images], Any]:
    """Training images, those that were set aside, and a list of problems with the latter."""
    if isinstance(train, str):  # the layer of the data sets is above: found when it is needed
        train = import_module("lotus_unlearning.datasets").load(train)
    if isinstance(train, Data):
        unseen = train.unseen if unseen is None else unseen
        test = train.test if test is None else test
        train = train.train
    source = as_images(train, "train")
    others: dict[str, Images] = {}
    problems: list[str] = []
    for name, data in (("unseen", unseen), ("test", test)):
        try:
            if data is not None:
                others[name] = as_images(data, name)
        except (TypeError, ValueError) as error:
            problems.append(str(error))
    return source, others, problems


def _build(
    source: Images,
    ids: Tensor,
    others: dict[str, Images],
    on_overlap: OnOverlap,
    problems: list[str],
) -> Splits:
    if on_overlap not in get_args(OnOverlap):
        problems.append(f"on_overlap: expected 'refuse' or 'drop', got {on_overlap!r}")
    mask = torch.zeros(len(source), dtype=torch.bool)
    mask[ids] = True
    if not problems and mask.all():
        problems.append(
            f"forget: expected some of the {len(source)} training images, got all of them; "
            "to forget everything, delete the model"
        )
    rest = (~mask).nonzero()[:, 0]
    dropped = {}
    if not problems:
        overlap = find_overlap(source, ids, rest, others)
        dropped = overlap.with_forget
        if on_overlap == "refuse":
            problems += overlap.problems()
        for sentence in overlap.warnings:
            warnings.warn(sentence, stacklevel=3)
    if problems:
        raise ValueError(_message(problems))
    aside = {n: Split(n, s, (~dropped[n]).nonzero()[:, 0]) for n, s in others.items()}
    parts = Split("forget", source, ids), Split("retain", source, rest)
    return Splits(*parts, aside.get("unseen"), aside.get("test"), source.classes)


def _message(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems:\n" + "\n".join(f"- {problem}" for problem in problems)
