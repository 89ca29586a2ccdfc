"""Understudies that were tried and are not offered: methods of one's own, for variants.yaml.

    lotus bench benchmarks/variants.yaml

Every class teaches the original what somebody believes of the forget images, as Understudy does
(docs/beyond.md), with one thing done otherwise. They share its settings, and add their own.
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from benchmarks.views import VIEWS, moved
from torch import nn

from lotus_unlearning.losses import distillation
from lotus_unlearning.methods import SalUn, Understudy
from lotus_unlearning.runtime import (
    accuracy,
    cut,
    deepest,
    reset_layers,
    reset_parameters,
    restore,
    snapshot,
)
from lotus_unlearning.training import fit


@dataclass(frozen=True, kw_only=True)
class Variant(Understudy):
    """Understudy with one thing done otherwise.

    Attributes:
        frozen: BatchNorm's statistics stay the original's while it is taught.
        averaged: The result has the mean of the weights after each step of the second half.
        stops: Teaching ends with the pass after which accuracy on forget images is no more than
            the original's on unseen ones.
        alpha: Answers to forget images are softened by LoTUS's temperature, exp(alpha (accuracy
            on forget images - the original's on unseen ones)), before each pass.
        salient: Only this share of the weights is taught, those of SalUn's mask.
        reset: The understudy begins from the original with this share of its layers, the deepest,
            begun anew; 1: as Understudy does, with all.
    """

    # unseen images say what accuracy to come down to
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain", "unseen"})
    frozen: bool = False
    averaged: bool = False
    stops: bool = False
    alpha: float = 0.0
    salient: float | None = None
    reset: float = 1.0

    def __call__(self, model, data, run):
        """Edit ``model`` in place."""
        original = run.teacher(model, data.retain)
        aim = run.accuracy(model, data.unseen)
        masks = {} if self.salient is None else SalUn(share=self.salient)._masks(model, data, run)
        believed = self.believed(model, data, run)
        forget, count = len(data.forget), self.share_of(len(data.retain))
        passes = self.passes(forget, len(data.retain))
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        steps = passes * cut.count(forget + count, self.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        now, mean = run.accuracy(model, data.forget), _Mean()
        with run.only(masks) if masks else nullcontext():
            for _ in run.epochs(passes, optimizer, schedule):
                tau = math.exp(self.alpha * (now - aim))
                run.log(believed_accuracy=accuracy(believed, data.forget.labels), tau=tau)
                chosen = run.permutation(len(data.retain))[:count]
                both, places = data.forget + data.retain.take(chosen), chosen.to(run.device)
                model.train()
                if self.frozen:
                    _freeze(model)
                for x, _, i in run.batches(both, self.batch_size):
                    of_forget = run.rows(believed, i.clamp(max=forget - 1)) / tau
                    of_retain = run.rows(original, places[(i - forget).clamp(min=0)])
                    target = torch.where(i[:, None] < forget, of_forget, of_retain)
                    run.step(optimizer, distillation(model(x), target))
                    schedule.step()
                    if self.averaged and schedule.last_epoch > steps / 2:
                        mean.add(snapshot(model))
                now = run.accuracy(model, data.forget)
                if self.stops and now <= aim:
                    run.stop()
        if self.averaged:
            restore(model, mean.value)

    def believed(self, model, data, run):
        """Logits ``[N_f, C]``: what the original is taught of forget images."""
        weights, seed = snapshot(model), run.draw_seed()
        if self.reset == 1:
            reset_parameters(model, seed)
        else:
            reset_layers(model, deepest(model, self.reset, data.retain, run), seed)
        fit(model, data.retain, self.recipe_for(len(data.retain)), run)
        logits = run.teacher(model, data.forget)
        restore(model, weights)
        return logits


@dataclass(frozen=True, kw_only=True)
class Views(Variant):
    """The original's own beliefs over moved views of the forget images, in the understudy's place.

    Attributes:
        strength: Of the views of benchmarks/views.py.
    """

    strength: float = 1.0

    def believed(self, model, data, run):
        """The mean of log-probabilities over views."""
        model.eval()
        draw = torch.Generator().manual_seed(run.draw_seed())
        total = []
        with torch.no_grad():
            for x, _, _ in run.batches(data.forget, 500, shuffle=False):
                seen = (run.answers(model, moved(x, self.strength, draw)) for _ in range(VIEWS))
                total.append(sum(F.log_softmax(z.float(), 1) for z in seen) / VIEWS)
        return torch.cat(total).cpu()


class _Mean:
    """Of weights and statistics, one set after the other."""

    def __init__(self):
        self.count, self.value = 0, {}

    def add(self, state):
        self.count += 1
        for name, new in state.items():
            if name not in self.value or not new.is_floating_point():
                self.value[name] = new
            else:
                self.value[name] += (new - self.value[name]) / self.count


def _freeze(model):
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
