"""Can an original say what a gold model would, if it looks at moved copies of a forget image?

    lotus bench table1 --blocks fashion-mnist --settings authors --seeds 3
    python benchmarks/views.py --block fashion-mnist --seeds 3

Nothing is trained. The original's belief in a forget image is the mean of its log-probabilities on
12 random views of it, renormalised; a view is rotated by up to 4 degrees, scaled by up to 6% and
shifted by up to 0.6 pixels, all times a strength. For each strength: how much of the way from the
original to the golds these beliefs go, and whether forget and unseen images look alike under the
same views, which can be seen without gold. Needs the originals and gold models that the first
command leaves in results/files. One line per seed and strength is added to ``--out``; what is there
is not run again.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lotus_unlearning import metrics
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.materials import load, predictions, trained_model
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.jobs.store import Store

STRENGTHS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
VIEWS, DEGREES, SCALE, PIXELS = 12, 4.0, 0.06, 0.6


def viewed(images, strength, draw):
    """Randomly rotated, scaled and shifted copies ``[N, C, H, W]``."""
    n, size = len(images), images.shape[-1]
    turn, zoom, right, down = (torch.rand(4, n, generator=draw) * 2 - 1) * strength
    angle, factor = turn * DEGREES * math.pi / 180, 1 / (1 + zoom * SCALE)
    cos, sin, move = angle.cos() * factor, angle.sin() * factor, 2 * PIXELS / size
    rows = [torch.stack([cos, -sin, right * move], 1), torch.stack([sin, cos, down * move], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


@torch.no_grad()
def belief(model, images, strength, seed):
    """Probabilities ``[N, C]``: the renormalised geometric mean over views."""
    draw, total = torch.Generator().manual_seed(seed), 0.0
    for _ in range(VIEWS if strength else 1):
        x = viewed(images, strength, draw) if strength else images
        total = total + torch.cat([model(part).double().log_softmax(1) for part in x.split(500)])
    return (total / (VIEWS if strength else 1)).softmax(1).numpy()


def rows(draw, store, done):
    """A line for each strength that is not there yet."""
    reference = draw.reference
    setup = reference.original.setup
    data = load(setup.data, None)
    splits = scenarios.splits(reference.forget, data)
    model = trained_model(setup, data, store.files(reference.original))
    ids = splits.forget.ids.numpy()
    original, *golds = (
        metrics.softmax(predictions(store.files(cell))["train"][ids].astype(float))
        for cell in (reference.original, *reference.golds)
    )
    named = {name: getattr(splits, name) for name in ("forget", "unseen")}
    for strength in STRENGTHS:
        if (draw.split, strength) in done:
            continue
        found = {"seed": draw.split, "strength": strength}
        for name, split in named.items():
            images = split.source.preprocess(split.source.images[split.ids])
            p = belief(model, images, strength, draw.split)
            found[f"{name}_accuracy"] = float((p.argmax(1) == split.labels.numpy()).mean())
            found[f"{name}_entropy"] = float(metrics.entropy(p).mean())
            if name == "forget":
                found["closes"] = metrics.closes(p, original, golds).closes
        right = [(g.argmax(1) == splits.forget.labels.numpy()).mean() for g in golds]
        yield {**found, "gold_forget_accuracy": float(np.mean(right))}


def main():
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--block", default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/views.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = Store(options.results)
    known = [json.loads(line) for line in options.out.read_text("utf-8").splitlines()] if (
        options.out.exists()
    ) else []  # fmt: skip
    done = {(r["seed"], r["strength"]) for r in known if r["block"] == options.block}
    grid = read_grid("table1", {"blocks": [options.block], "seeds": options.seeds})
    (section,) = grid.sections()
    for draw in section.draws():
        for row in rows(draw, store, done):
            line = {"block": options.block, **row}
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
