"""What a bank holds: members, each named by everything that determines what it predicts.

* gold: trained on all images but those to forget.
* shadow: trained on a random half of the images. Two make a pair that shares out all images, so
  that each image is in exactly half of an even number of shadows.
* put-back: as gold, but with some of the images to forget put back: to see from how many on the
  audit notices.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.canonical import canonical
from lotus_unlearning.benchmark.grid import FIRST_GOLD_SEED
from lotus_unlearning.benchmark.records import read_record
from lotus_unlearning.splits import Splits

FORMAT = 1
"""Part of every name. To be raised when code changes what earlier members would predict today."""

Kind = Literal["gold", "shadow", "put-back"]
KINDS: tuple[Kind, ...] = ("gold", "shadow", "put-back")
Ints = NDArray[np.int64]
_FIRST_SEED = {"gold": FIRST_GOLD_SEED, "shadow": 10_000_000, "put-back": 20_000_000}
_FAR = 100_000  # seeds between two sizes of put-back


@dataclass(frozen=True, kw_only=True)
class Member:
    """A model of a bank.

    Attributes:
        kind: What it is trained on.
        number: Counts models of one kind (and of one ``put_back``) from 0.
        made_of: Digest of what all of them share: images, architecture, recipe, and for all but
            shadows what is to be forgotten.
        put_back: How many of the images to forget it was trained on.
    """

    kind: Kind
    number: int
    made_of: str
    put_back: int = 0

    @property
    def seed(self) -> int:
        """Of initialisation and order of images: none begins where another one does."""
        return _FIRST_SEED[self.kind] + _FAR * self.put_back + self.number

    @cached_property
    def key(self) -> str:
        """The name of its file."""
        text = json.dumps([FORMAT, canonical(self)], sort_keys=True)
        return f"{self.kind}-{blake2b(text.encode(), digest_size=10).hexdigest()}"

    @property
    def heading(self) -> dict[str, Any]:
        """What its file begins with."""
        return {"format": FORMAT, "key": self.key, "cell": canonical(self)}

    def read(self, path: Path) -> dict[str, Any]:
        """What its file says; see :func:`read_record`."""
        return read_record(path)

    @property
    def title(self) -> str:
        """A few words.

        >>> Member(kind="put-back", number=1, made_of="", put_back=5).title
        'gold with 5 put back, 1'
        """
        if self.kind == "put-back":
            return f"gold with {self.put_back} put back, {self.number}"
        return f"{self.kind} {self.number}"

    def trained_on(self, labels: Ints, chosen: "Chosen") -> Ints:
        """Positions, sorted, of the images it is trained on.

        Args:
            labels: ``[N]`` of all training images.
            chosen: What is to be forgotten.

        >>> gold = Member(kind="gold", number=0, made_of="")
        >>> gold.trained_on(np.array([0, 0, 1, 1]), Chosen((1,), (3,)))
        array([0, 2])
        """
        forget, gone = (np.array(ids, dtype=np.int64) for ids in (chosen.forget, chosen.gone))
        if self.kind == "shadow":
            return np.setdiff1d(scenarios.halves(labels, self.number // 2)[self.number % 2], gone)
        back = np.random.default_rng(self.seed).permutation(forget)[: self.put_back]
        without = np.concatenate([np.setdiff1d(forget, back), gone])
        return np.setdiff1d(np.arange(len(labels)), without)


@dataclass(frozen=True)
class Chosen:
    """Training images that golds do not see, by position.

    Attributes:
        forget: To be forgotten.
        gone: Of these a model knows nothing any more: an earlier run has forgotten them.
    """

    forget: tuple[int, ...]
    gone: tuple[int, ...] = ()

    @property
    def unknown(self) -> frozenset[int]:
        """All images that golds do not see."""
        return frozenset(self.forget) | frozenset(self.gone)

    @classmethod
    def of(cls, splits: Splits) -> "Chosen":
        """What splits neither retain nor forget is gone."""
        forget, retain = splits.forget.ids.numpy(), splits.retain.ids.numpy()
        known = np.concatenate([forget, retain])
        gone = np.setdiff1d(np.arange(len(splits.retain.source)), known)
        return cls(tuple(np.sort(forget).tolist()), tuple(gone.tolist()))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How many models of each kind.

    Attributes:
        golds: Retrained models; 16 find what is 4 to 5 of their standard deviations away.
        shadows: Models on random halves, two for each choice of halves.
        put_back: Numbers of images to forget that are put back.
        repeats: Models for each of these numbers.
    """

    golds: int = 0
    shadows: int = 0
    put_back: Sequence[int] = ()
    repeats: int = 2

    def require(self, forget: int) -> None:
        """The numbers make sense where there are ``forget`` images to forget.

        Raises:
            ValueError: If a number is negative, shadows make no pairs, or more images are put back
                than there are.
        """
        wrong = [k for k in self.put_back if not 1 <= k <= forget]
        if min(self.golds, self.shadows, self.repeats) < 0 or wrong or self.shadows % 2:
            raise ValueError(
                "bank: expected numbers of at least 0, an even number of shadows, and 1 to "
                f"{forget} images put back; got {self}"
            )

    def members(self, with_forget: str, without: str) -> Iterator[Member]:
        """All of them.

        Args:
            with_forget: Digest of what golds are made of.
            without: Digest of what shadows are made of.
        """
        for i in range(self.golds):
            yield Member(kind="gold", number=i, made_of=with_forget)
        for i in range(self.shadows):
            yield Member(kind="shadow", number=i, made_of=without)
        for k in dict.fromkeys(self.put_back):
            for i in range(self.repeats):
                yield Member(kind="put-back", number=i, made_of=with_forget, put_back=k)


def digest(facts: Any) -> str:
    """A short name for plain data.

    >>> digest({"a": 1}) == digest({"a": 1}), len(digest([]))
    (True, 20)
    """
    text = json.dumps(facts, sort_keys=True)
    return blake2b(text.encode(), digest_size=10).hexdigest()
