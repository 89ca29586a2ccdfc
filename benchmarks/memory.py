"""Does "there is something to forget", said without gold, agree with what gold models say?

    lotus bench table1 --blocks digits --settings authors --methods lotus --seeds 5
    lotus bench table1 --blocks fashion-mnist --settings authors --methods lotus --seeds 3
    python benchmarks/memory.py --block digits --seeds 5
    python benchmarks/memory.py --block fashion-mnist --seeds 3
    python benchmarks/memory.py --table

For each choice of images: what :func:`lotus_unlearning.metrics.remembered` says of the original,
and of each gold model, which remembers nothing; and, by the gold models, how far the original is
from them and whether there is anything to close. Needs the originals and gold models that the first
commands leave in results/files. One line per seed is added to ``--out``, with the hash of the
original's weights; what is there is not run again.
"""

import argparse
import json
from pathlib import Path

from tabulate import tabulate

from lotus_unlearning import metrics
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.materials import load, predictions
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.evaluation.measures import SIGNIFICANT
from lotus_unlearning.jobs.store import Store

OUT = Path("benchmarks/results/memory.jsonl")


def row(draw, store):
    """One choice of images."""
    reference = draw.reference
    splits = scenarios.splits(reference.forget, load(reference.original.setup.data, None))
    ids, aside = splits.forget.ids.numpy(), splits.unseen.ids.numpy()
    labels = splits.forget.labels.numpy(), splits.unseen.labels.numpy()
    beliefs, found = [], []
    for cell in (reference.original, *reference.golds):
        known = predictions(store.files(cell))
        both = [known[part][at].astype(float) for part, at in (("train", ids), ("unseen", aside))]
        loss = [metrics.cross_entropy(z, y) for z, y in zip(both, labels, strict=True)]
        found.append(metrics.remembered(-loss[0], labels[0], -loss[1], labels[1]))
        beliefs.append(metrics.softmax(both[0]))
    original, *golds = beliefs
    gap = metrics.closes(original, original, golds)
    return {
        "seed": draw.split,
        "original": store.record(reference.original)["weights_sha256"],
        "auc": found[0].auc,
        "p": found[0].p_value,
        "gold_auc": [one.auc for one in found[1:]],
        "gold_p": [one.p_value for one in found[1:]],
        "original_to_golds": gap.d_original,
        "gold_to_golds": gap.d_gold,
        "nothing_to_close": gap.nothing_to_close,
    }


def table(rows):
    """One line for each block: how often both say what."""
    body = []
    for block in dict.fromkeys(row["block"] for row in rows):
        mine = [row for row in rows if row["block"] == block]
        said = [row["p"] >= SIGNIFICANT for row in mine]
        truth = [row["nothing_to_close"] for row in mine]
        of_golds = [p >= SIGNIFICANT for row in mine for p in row["gold_p"]]
        ratios = [row["original_to_golds"] / row["gold_to_golds"] for row in mine]
        body.append(
            [
                block,
                f"{min(r['auc'] for r in mine):.3f} to {max(r['auc'] for r in mine):.3f}",
                f"{sum(said)} of {len(mine)}",
                f"{sum(truth)} of {len(mine)}",
                f"{sum(s == t for s, t in zip(said, truth, strict=True))} of {len(mine)}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"{sum(of_golds)} of {len(of_golds)}",
            ]
        )
    heads = [
        "",
        "AUC within classes",
        "nothing seen by the rank test",
        "nothing to close, say the golds",
        "both agree",
        "original's distance from golds, over theirs",
        "golds with nothing seen",
    ]
    return tabulate(body, heads, tablefmt="pipe", disable_numparse=True)


def read(path):
    """The lines that are there."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def main():
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--block", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    known = read(options.out)
    if options.table:
        print(table(known))
        return
    store = Store(options.results)
    done = {r["seed"] for r in known if r["block"] == options.block}
    grid = read_grid("table1", {"blocks": [options.block], "seeds": options.seeds})
    (section,) = grid.sections()
    for draw in section.draws():
        if draw.split in done:
            continue
        line = {"block": options.block, **row(draw, store)}
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


if __name__ == "__main__":
    main()
