"""``lotus train``: an original model, or with ``--without`` a gold one.

The gold model is what ``Retrain`` makes, as in ``lotus demo``: with the seed of the original, it
does not begin where the original began.
"""

from dataclasses import asdict

from jsonargparse import Namespace
from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.cli import options
from lotus_unlearning.cli.options import say
from lotus_unlearning.datasets import Data
from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import Retrain
from lotus_unlearning.runtime import Runtime, fingerprint
from lotus_unlearning.training import Recipe, Trained, train
from lotus_unlearning.unlearning import Unlearned, unlearn

_EXAMPLES = """
lotus train --data digits --out runs/original
lotus train --data digits --without ids.txt --out runs/gold
lotus train --data imagefolder:photos --model timm:resnet18 --pretrained true --recipe.epochs 10
"""


def main(words: list[str]) -> None:
    """Train and write a run folder."""
    parser = options.parser(
        "train", "Train a model, on all training images or without some of them.", _EXAMPLES
    )
    options.add_data(parser, default="digits")
    parser.add_argument("--model", type=str, default="resnet-thin", help="see lotus list models")
    parser.add_argument("--pretrained", type=bool, default=False, help="start from known weights")
    options.add_forget(parser, "--without", None, "leave out images")
    parser.add_class_arguments(Recipe, "recipe")
    options.add_run(parser, "runs/original or runs/gold")
    chosen = parser.parse_args(words)
    final = runs.destination(chosen.out, "original" if chosen.without is None else "gold")
    recipe = Recipe(**vars(chosen.recipe))
    data = options.load_data(chosen)
    architecture = options.architecture(chosen.model, data)
    start, made, left_out = _train(chosen, data, architecture, recipe)
    manifest = {
        "command": "train",
        "method": describe(recipe),
        "seed": chosen.seed,
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
        "weights_sha256_before": fingerprint(start),
        "left_out": left_out,
    }
    with runs.folder(final) as path:
        runs.write(
            path,
            config={**options.plain(chosen), "recipe": asdict(recipe)},
            model=made.model,
            architecture=architecture,
            history=made.history,
            manifest=manifest,
        )
    say(f"trained in {made.seconds:.1f} s: {final}")


def _train(
    chosen: Namespace, data: Data, architecture: runs.Architecture, recipe: Recipe
) -> tuple[nn.Module, Trained | Unlearned, list[int]]:
    """Where training began, what came of it, and the positions that were left out."""
    place = {"seed": chosen.seed, "device": chosen.device, "precision": chosen.precision}
    if chosen.without is None:
        start = architecture.build(pretrained=chosen.pretrained, seed=chosen.seed)
        say(f"training {chosen.model} on {len(data.train):,} images of {chosen.data}")
        held_out = data.unseen if recipe.patience is not None else None
        return start, train(start, data.train, recipe, held_out=held_out, **place), []
    splits = options.choose(data, chosen.without, chosen.forget_seed)
    # where Retrain begins on its own; with pre-trained weights, the last layer begins anew
    seed = Runtime(seed=chosen.seed).draw_seed()
    start = architecture.build(pretrained=chosen.pretrained, seed=seed)
    say(f"training {chosen.model} on {len(splits.retain):,} images of {chosen.data}")
    made = unlearn(start, splits, Retrain(recipe=recipe, start=start), **place)
    return start, made, splits.forget.ids.tolist()
