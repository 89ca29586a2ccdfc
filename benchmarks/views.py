"""Can an original say what a gold model would, if it looks at changed copies of a forget image?

    lotus bench table1 --blocks fashion-mnist --settings authors --methods lotus --seeds 3
    python benchmarks/views.py --block fashion-mnist --seeds 3

Nothing is trained. The original's belief in an image is the mean of its log-probabilities on 12
random views of it, renormalised. A view is

* ``moved``: rotated by up to 4 degrees, scaled by up to 6%, shifted by up to 0.6 pixels, all times
  the strength;
* ``noise``: with Gaussian noise of that standard deviation on the normalised pixels;
* ``hidden``: with that share of its 16 patches set to their mean;
* ``dropout``: with that share of the features before the last layer dropped.

For each strength: how much of the way from the original to the golds these beliefs go, and whether
forget and unseen images look alike under the same views, which can be seen without gold. And for
each rule that chooses a strength without gold (:data:`RULES`): what it chose, and how far that
goes. Needs the originals and gold models that the first command leaves in results/files. Lines are
added to ``--out``; a seed and kind that are there are not run again.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lotus_unlearning import metrics
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.materials import load, predictions, trained_model
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.jobs.store import Store

OUT = Path("benchmarks/results/views.jsonl")
VIEWS, DEGREES, SCALE, PIXELS, PATCHES = 12, 4.0, 0.06, 0.6, 4
STRENGTHS = {
    "moved": (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0),
    "noise": (0.0, 0.1, 0.2, 0.3, 0.5, 0.8),
    "hidden": (0.0, 0.0625, 0.125, 0.1875, 0.25, 0.375),
    "dropout": (0.0, 0.2, 0.4, 0.6, 0.8, 0.9),
}


def moved(images, strength, draw):
    """Randomly rotated, scaled and shifted copies ``[N, C, H, W]``."""
    n, size = len(images), images.shape[-1]
    turn, zoom, right, down = (torch.rand(4, n, generator=draw) * 2 - 1) * strength
    angle, factor = turn * DEGREES * math.pi / 180, 1 / (1 + zoom * SCALE)
    cos, sin, move = angle.cos() * factor, angle.sin() * factor, 2 * PIXELS / size
    rows = [torch.stack([cos, -sin, right * move], 1), torch.stack([sin, cos, down * move], 1)]
    places = torch.stack(rows, 1).to(images)
    grid = F.affine_grid(places, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def noise(images, strength, draw):
    """With noise on every pixel."""
    return images + strength * torch.randn(images.shape, generator=draw).to(images)


def hidden(images, strength, draw):
    """With some of 4 x 4 patches set to their mean."""
    count, n = PATCHES**2, len(images)
    gone = torch.rand(n, count, generator=draw).argsort(1) < round(strength * count)
    mask = gone.view(n, 1, PATCHES, PATCHES).to(images)
    mask = F.interpolate(mask, size=images.shape[-2:], mode="nearest")
    means = F.interpolate(F.adaptive_avg_pool2d(images, PATCHES), size=images.shape[-2:])
    return images * (1 - mask) + means * mask


class Dropout:
    """Drops features before the last layer of a model while it is entered."""

    def __init__(self, model, strength, draw):
        self.strength, self.draw = strength, draw
        self.last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]

    def __enter__(self):
        self.handle = self.last.register_forward_pre_hook(self.drop)

    def __exit__(self, *_):
        self.handle.remove()

    def drop(self, _, inputs):
        kept = torch.rand(inputs[0].shape, generator=self.draw) >= self.strength
        return (inputs[0] * kept / (1 - self.strength),)


SEEN = {"moved": moved, "noise": noise, "hidden": hidden}
"""Kinds of views that change the image; dropout changes what the network makes of it."""


@torch.no_grad()
def beliefs(model, images, kind, strength, seed):
    """Mean log-probabilities ``[N, C]`` over views, not renormalised."""
    draw, total = torch.Generator().manual_seed(seed), 0.0
    for _ in range(VIEWS if strength else 1):
        if not strength:
            logits = answers(model, images)
        elif kind == "dropout":
            with Dropout(model, strength, draw):
                logits = answers(model, images)
        else:
            logits = answers(model, SEEN[kind](images, strength, draw))
        total = total + logits.log_softmax(1)
    return (total / (VIEWS if strength else 1)).numpy()


def answers(model, images):
    """Logits ``[N, C]``."""
    return torch.cat([model(part).double() for part in images.split(500)])


class Look:
    """What the original believes of forget and unseen images under views of one strength."""

    def __init__(self, logits, labels):
        self.p = {name: metrics.softmax(z) for name, z in logits.items()}
        self.margin = {name: metrics.margin(z, labels[name]) for name, z in logits.items()}
        self.right = {n: p.argmax(1) == labels[n] for n, p in self.p.items()}
        self.entropy = {name: metrics.entropy(p) for name, p in self.p.items()}

    @property
    def apart(self):
        """Kolmogorov-Smirnov distance of margins of forget and unseen images."""
        return metrics.ks_distance(self.margin["forget"], self.margin["unseen"]).distance


def by_accuracy(looks, _):
    """The first strength with forget images right no more often than unseen ones."""
    return first(looks, lambda s: s.right["forget"].mean() <= s.right["unseen"].mean())


def by_entropy(looks, _):
    """The first strength with forget images as uncertain as unseen ones."""
    return first(looks, lambda s: s.entropy["forget"].mean() >= s.entropy["unseen"].mean())


def by_margin(looks, _):
    """The strength at which margins of forget and unseen images are distributed most alike."""
    return min(looks, key=lambda strength: looks[strength].apart)


def by_class(looks, labels):
    """For each class the first strength with a mean margin as small as unseen images have."""
    chosen = np.zeros(len(labels["forget"]))
    for label in np.unique(labels["forget"]):
        mine, theirs = labels["forget"] == label, labels["unseen"] == label
        chosen[mine] = first(
            looks,
            lambda s, m=mine, t=theirs: (
                s.margin["forget"][m].mean() <= s.margin["unseen"][t].mean()
            ),
        )
    return chosen


def by_image(looks, labels):
    """For each image the first strength with the margin of the unseen image of its rank."""
    plain, chosen = looks[0.0], np.zeros(len(labels["forget"]))
    for label in np.unique(labels["forget"]):
        mine, theirs = labels["forget"] == label, labels["unseen"] == label
        margins = plain.margin["forget"][mine]
        place = (margins.argsort().argsort() + 0.5) / len(margins)
        aim = np.quantile(plain.margin["unseen"][theirs], place)
        there = np.stack([look.margin["forget"][mine] <= aim for look in looks.values()])
        at = np.where(there.any(0), there.argmax(0), len(looks) - 1)
        chosen[mine] = np.array(list(looks))[at]
    return chosen


def first(looks, holds):
    """The first strength for which it holds, else the largest."""
    return next((strength for strength, look in looks.items() if holds(look)), max(looks))


RULES = {
    "accuracy": by_accuracy,
    "entropy": by_entropy,
    "margins": by_margin,
    "margins, by class": by_class,
    "margins, by image": by_image,
}


def composed(looks, chosen):
    """Beliefs ``[N, C]`` of forget images, each under views of its own strength."""
    if np.isscalar(chosen):
        return looks[chosen].p["forget"]
    return np.stack([looks[strength].p["forget"][i] for i, strength in enumerate(chosen)])


def rows(draw, store, kinds):
    """A line for each kind and strength, and for each kind and rule."""
    reference = draw.reference
    setup = reference.original.setup
    data = load(setup.data, None)
    splits = scenarios.splits(reference.forget, data)
    model = trained_model(setup, data, store.files(reference.original)).eval()
    ids = splits.forget.ids.numpy()
    original, *golds = (
        metrics.softmax(predictions(store.files(cell))["train"][ids].astype(float))
        for cell in (reference.original, *reference.golds)
    )
    named = {name: getattr(splits, name) for name in ("forget", "unseen")}
    labels = {name: split.labels.numpy() for name, split in named.items()}
    images = {n: s.source.preprocess(s.source.images[s.ids]) for n, s in named.items()}
    right = [(g.argmax(1) == labels["forget"]).mean() for g in golds]
    for kind in kinds:
        looks = {
            strength: Look(
                {n: beliefs(model, x, kind, strength, draw.split) for n, x in images.items()},
                labels,
            )
            for strength in STRENGTHS[kind]
        }
        for strength, look in looks.items():
            yield {
                "seed": draw.split,
                "kind": kind,
                "strength": strength,
                **{f"{n}_accuracy": float(look.right[n].mean()) for n in named},
                **{f"{n}_entropy": float(look.entropy[n].mean()) for n in named},
                "apart": float(look.apart),
                "closes": metrics.closes(look.p["forget"], original, golds).closes,
                "gold_forget_accuracy": float(np.mean(right)),
            }
        for name, rule in RULES.items():
            chosen = rule(looks, labels)
            yield {
                "seed": draw.split,
                "kind": kind,
                "rule": name,
                "strength": float(np.mean(chosen)),
                "closes": metrics.closes(composed(looks, chosen), original, golds).closes,
            }


def main():
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--block", default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = Store(options.results)
    known = [json.loads(line) for line in options.out.read_text("utf-8").splitlines()] if (
        options.out.exists()
    ) else []  # fmt: skip
    done = {(r["seed"], r["kind"]) for r in known if r["block"] == options.block}
    grid = read_grid("table1", {"blocks": [options.block], "seeds": options.seeds})
    (section,) = grid.sections()
    for draw in section.draws():
        for kind in STRENGTHS:
            if (draw.split, kind) in done:
                continue
            lines = [{"block": options.block, **row} for row in rows(draw, store, [kind])]
            with options.out.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
            print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
