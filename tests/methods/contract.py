"""One row per method: settings that do something to a toy within a second."""

import toy

from lotus_unlearning import (
    SCRUB,
    SSD,
    UNSIR,
    BadTeacher,
    Finetune,
    GradientAscent,
    L1Sparse,
    LoTUS,
    NegGradPlus,
    RandomLabels,
    Recipe,
    Regrow,
    Retrain,
    SalUn,
    Splits,
    Understudy,
)
from lotus_unlearning.splits import Split

ROWS = {
    "lotus": LoTUS(epochs=2, learning_rate=1e-2, tolerance=9),
    "understudy": Understudy(
        recipe=Recipe(epochs=2, batch_size=8), least_steps=0, epochs=2, batch_size=8
    ),
    "regrow": Regrow(epochs=2, least_steps=0, batch_size=8),
    "finetune": Finetune(epochs=2),
    "neg-grad-plus": NegGradPlus(epochs=2),
    "random-labels": RandomLabels(epochs=2, learning_rate=1e-2),
    "bad-teacher": BadTeacher(epochs=2, learning_rate=1e-2, batch_size=8),
    "scrub": SCRUB(epochs=2, learning_rate=1e-2, forget_batch_size=8, retain_batch_size=8),
    "ssd": SSD(alpha=1.2),
    "unsir": UNSIR(),
    "salun": SalUn(epochs=2),
    "l1-sparse": L1Sparse(epochs=2),
    "gradient-ascent": GradientAscent(epochs=2, learning_rate=1e-2),
    "retrain": Retrain(recipe=Recipe(epochs=3, batch_size=8)),
}


def splits(forget=range(0, 10)):
    """Retain images stay the same whatever of the first 20 is to be forgotten."""
    return _some(range(20), forget)


def class_splits(forget=range(0, 12)):
    """The same for some of the 12 images of class 0, of which none are retained."""
    return _some(range(0, toy.SIZE, toy.CLASSES), forget)


def _some(candidates, forget):
    whole = Splits.from_ids(
        toy.data(), forget=list(candidates), unseen=toy.data(2, 16), test=toy.data(3, 16)
    )
    chosen = whole.forget.take(whole.forget.ids.new_tensor(list(forget)))
    return Splits(chosen, whole.retain, whole.unseen, whole.test)


class Only:
    """Splits of which only some may be read."""

    def __init__(self, whole: Splits, readable: frozenset[str]) -> None:
        self._whole, self._readable = whole, readable

    def __getattr__(self, name: str) -> Split | None:
        if name in ("forget", "retain", "unseen", "test") and name not in self._readable:
            raise AssertionError(f"reads {name} without declaring it")
        return getattr(self._whole, name)
