"""How many images each method sends through the model, to estimate times and to count work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lotus_unlearning.methods.bad_teacher import BadTeacher
from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.gradient_ascent import GradientAscent
from lotus_unlearning.methods.l1_sparse import L1Sparse
from lotus_unlearning.methods.lotus import LoTUS
from lotus_unlearning.methods.neg_grad_plus import NegGradPlus
from lotus_unlearning.methods.random_labels import RandomLabels
from lotus_unlearning.methods.regrow import Regrow
from lotus_unlearning.methods.retrain import Retrain
from lotus_unlearning.methods.salun import SalUn
from lotus_unlearning.methods.scrub import SCRUB
from lotus_unlearning.methods.ssd import SSD
from lotus_unlearning.methods.understudy import Understudy
from lotus_unlearning.methods.unsir import UNSIR
from lotus_unlearning.runtime import cut
from lotus_unlearning.unlearning import Method


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
        TypeError: If the method is not one of METHODS.

    >>> passes(Finetune(epochs=2), Sizes(forget=10, retain=90))
    Passes(training=180, forward=0.0)
    """
    count = _COSTS.get(type(method))
    if count is None:
        known = ", ".join(cls.__name__ for cls in _COSTS)
        raise TypeError(f"passes: expected one of {known}, got {type(method).__name__}")
    return count(method, n)


def _sampled(share: float, n: Sizes) -> int:
    """Forget images and a share of retain."""
    return n.forget + max(1, round(share * n.retain))


def _lotus(m: LoTUS, n: Sizes) -> Passes:
    both = _sampled(m.retain_share, n)
    own_target = m.target_accuracy is not None
    looks = m.epochs if own_target and not m.published_class_mode else m.epochs - 1
    return Passes(m.epochs * both, both + looks * n.forget + (0 if own_target else n.unseen))


def _neg_grad_plus(m: NegGradPlus, n: Sizes) -> Passes:
    if m.alpha == 1:
        return Passes(m.epochs * n.retain)
    if m.phases == "separate":
        return Passes(m.epochs * (n.forget + n.retain))
    size = n.batch_size if m.batch_size is None else m.batch_size
    rounds, rest = divmod(cut.count(n.retain, size), cut.count(n.forget, size))
    return Passes(m.epochs * (n.retain + rounds * n.forget + rest * size))


def _bad_teacher(m: BadTeacher, n: Sizes) -> Passes:
    both = _sampled(m.retain_share, n)
    return Passes(m.epochs * both, both)


def _scrub(m: SCRUB, n: Sizes) -> Passes:
    steps = min(m.epochs, m.max_steps)
    looks = m.epochs * n.forget + n.unseen if m.rewind else 0
    asked = n.retain + (n.forget if steps else 0)
    return Passes(m.epochs * n.retain + steps * n.forget, asked + looks)


def _unsir(m: UNSIR, n: Sizes) -> Passes:
    if m.mode == "class" or (m.mode == "auto" and not n.shared):
        c = m.by_class
        noise = n.forget_classes * c.noise_images if c.copies else 0
        copies = c.copies if c.noise_steps else 0
        return Passes((c.noise_steps + copies) * noise + 2 * _at_most(c.images_per_class, n), 1)
    i = m.by_instance
    pairs = i.epochs * min(n.forget, n.retain)
    repair = i.epochs * _at_most(i.repair_images_per_class, n)
    if i.noise_steps == 0:
        return Passes(pairs + repair)
    return Passes(pairs * (i.noise_steps + 2) + repair, pairs)


def _at_most(per_class: int, n: Sizes) -> int:
    """Retain images, so many of each class; as if classes were of equal size."""
    if n.retain_classes is None:
        return n.retain if per_class else 0
    return min(n.retain, n.retain_classes * per_class)


def _salun(m: SalUn, n: Sizes) -> Passes:
    inner = passes(m.inner, n) if m.inner else Passes(m.epochs * (n.forget + n.retain), 1)
    return Passes(n.forget + inner.training, inner.forward)


def _understudy(m: Understudy, n: Sizes) -> Passes:
    stranger = m.recipe_for(n.retain).epochs * n.retain
    taught = m.passes(n.forget, n.retain) * (n.forget + m.share_of(n.retain))
    return Passes(stranger + taught, n.retain + n.forget)


def _retrain(m: Retrain, n: Sizes) -> Passes:
    held_out = 0 if m.recipe.patience is None else n.unseen
    return Passes(m.recipe.epochs * n.retain, m.recipe.epochs * held_out)


_COSTS: dict[type, Callable[[Any, Sizes], Passes]] = {
    LoTUS: _lotus,
    Finetune: lambda m, n: Passes(m.epochs * n.retain),
    NegGradPlus: _neg_grad_plus,
    RandomLabels: lambda m, n: Passes(m.epochs * (n.forget + n.retain), 1),
    BadTeacher: _bad_teacher,
    SCRUB: _scrub,
    SSD: lambda m, n: Passes(m.repeats * (n.forget + n.retain)),
    UNSIR: _unsir,
    SalUn: _salun,
    L1Sparse: lambda m, n: Passes(m.epochs * n.retain),
    Understudy: _understudy,
    Regrow: lambda m, n: Passes(m.passes(n.retain) * n.retain, n.retain + 1),
    GradientAscent: lambda m, n: Passes(m.epochs * n.forget),
    Retrain: _retrain,
}
