"""Retrain: train from scratch without the forget images, the gold standard of unlearning.

Christoforos N. Spartalis, Theodoros Semertzidis, Efstratios Gavves, Petros Daras: "LoTUS:
Large-Scale Machine Unlearning with a Taste of Uncertainty", CVPR 2025,
https://arxiv.org/abs/2503.18314, whose recipes are presets: ResNet18 with SGD at 0.1 for up to
150 epochs with 30 of warm-up, ViT from ImageNet weights with SGD at 1e-4 for up to 30.

    theta_0 ~ the architecture's own random initialisation
    theta   = the original's recipe from theta_0, on the retain images alone

The forget images never have any influence. Exact, and as slow as training; every other method is
measured by how near it comes to this one. The initialisation is drawn by the run's generator: with
the seed that made the original, it still does not begin where the original began.

Differs: with patience, the weights of the best epoch are kept as a copy; the code behind the
LoTUS tables kept an alias, which is the last epoch's. A model that began from pre-trained
weights is retrained from those (``start``), not from random ones.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from torch import nn

from lotus_unlearning.methods import bibtex
from lotus_unlearning.methods.form import Card, Passes, Sizes
from lotus_unlearning.runtime import Runtime, reset_parameters, restore
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe, fit


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """Training from scratch on retain: what the others try to be equal to.

    Attributes:
        recipe: The recipe the original was trained by.
        start: A model with the weights to start from (pre-trained ones); ``None``: a fresh
            random initialisation (:func:`lotus_unlearning.runtime.reset_parameters`), by a seed
            that the run draws.
    """

    replayable: ClassVar[bool] = True
    recipe: Recipe = field(default_factory=Recipe)
    start: nn.Module | None = field(default=None, repr=False)

    @property
    def reads(self) -> frozenset[str]:
        """Unseen images only for a recipe with patience, to hold out."""
        return frozenset({"retain"} if self.recipe.patience is None else {"retain", "unseen"})

    def as_trained(self, recipe: Recipe) -> "Retrain":
        """For an original that was trained by ``recipe``: by the same."""
        return replace(self, recipe=recipe)

    def work(self, n: Sizes) -> Passes:
        """Images that go through the model."""
        held_out = 0 if self.recipe.patience is None else n.unseen
        return Passes(self.recipe.epochs * n.retain, self.recipe.epochs * held_out)

    def __call__(self, model: nn.Module, data: Splits, run: Runtime) -> None:
        """Train ``model`` anew, in place, without the forget images."""
        seed = run.draw_seed()  # with ``start``, too: the order of the images is the same then
        if self.start is None:
            reset_parameters(model, seed)
        else:
            restore(model, self.start.state_dict())
        held_out = data.unseen if self.recipe.patience is not None else None
        fit(model, data.retain, self.recipe, run, held_out=held_out)


CARD = Card(
    does="Trains anew without the forget images. What every other method is measured by.",
    works="Always, at the price of training.",
    cost="per epoch FB(n_r), for as many epochs as training takes; with patience, F of the "
    "unseen images, too. Memory of SGD with momentum: one copy of the weights (AdamW: two); "
    "with patience, another one of the best epoch.",
    tables="Kept the last epoch where it meant the best one.",
    bibtex=bibtex.LOTUS,
)
