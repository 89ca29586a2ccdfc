"""What the file of a method says of it beside the algorithm: its card, its work, its search.

A method's class may say three things more than :class:`lotus_unlearning.unlearning.Method` asks
for: ``work``, from which times are estimated; ``searches``, what ``lotus tune`` may change; and, if
it trains a network anew, ``as_trained``, which settings suit an original of a known recipe.
"""

from dataclasses import dataclass
from typing import Literal

from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Method


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a person should know before choosing a method.

    Attributes:
        does: In two sentences.
        works: When it can be expected to work, and when not.
        cost: Forward (F) and backward (B) passes over images, where ``n_f`` and ``n_r`` are the
            numbers of forget and retain images, and memory beyond weights, gradient and the
            activations of a batch.
        tables: What the code behind the published LoTUS tables did instead.
        bibtex: Its citations, with an empty line between them.
    """

    does: str
    works: str
    cost: str
    tables: str
    bibtex: str


Rule = Literal["tenfold", "rest", "share", "count"]
"""How bounds of a setting follow from its default: :mod:`lotus_unlearning.methods.spaces`."""

TENFOLD: Rule = "tenfold"
REST: Rule = "rest"
SHARE: Rule = "share"
COUNT: Rule = "count"


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, and of classes.

    Attributes:
        forget: To be forgotten.
        retain: Retained.
        unseen: For calibration.
        forget_classes: Classes among the forget images.
        shared: Whether retain has images of those classes.
        retain_classes: Classes among the retain images; ``None``: as many as there may be.
        batch_size: Of the run, for methods without a size of their own.
    """

    forget: int
    retain: int
    unseen: int = 0
    forget_classes: int = 1
    shared: bool = True
    retain_classes: int | None = None
    batch_size: int = 128

    @classmethod
    def of(cls, splits: Splits, batch_size: int = 128) -> "Sizes":
        """Those of splits.

        >>> Sizes.of(Splits.random("digits", fraction=0.1)).retain
        1077
        """
        forget, retain = (set(part.labels.tolist()) for part in (splits.forget, splits.retain))
        return cls(
            forget=len(splits.forget),
            retain=len(splits.retain),
            unseen=0 if splits.unseen is None else len(splits.unseen),
            forget_classes=len(forget),
            shared=bool(forget & retain),
            retain_classes=len(retain),
            batch_size=batch_size,
        )

    def sampled(self, share: float) -> int:
        """Forget images and a share of retain."""
        return self.forget + max(1, round(share * self.retain))

    def at_most(self, per_class: int) -> int:
        """Retain images, so many of each class; as if classes were of equal size."""
        if self.retain_classes is None:
            return self.retain if per_class else 0
        return min(self.retain, self.retain_classes * per_class)


@dataclass(frozen=True)
class Passes:
    """Images through the model.

    Attributes:
        training: Forward and backward.
        forward: Forward only.
    """

    training: float
    forward: float = 0.0


def passes(method: Method, n: Sizes) -> Passes:
    """Images that ``method`` sends through the model; at most so many where it can stop early.

    Raises:
        TypeError: If the method does not say.

    >>> from lotus_unlearning.methods import Finetune
    >>> passes(Finetune(epochs=2), Sizes(forget=10, retain=90))
    Passes(training=180, forward=0.0)
    """
    work = getattr(method, "work", None)
    if work is None:
        raise TypeError(
            f"passes: expected a method with work(sizes), got {type(method).__name__}, which has "
            "none"
        )
    found: Passes = work(n)
    return found
