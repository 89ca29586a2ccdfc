"""``lotus train``: an original model, or with ``--without`` a gold one.

The gold model is what ``Retrain`` makes, as in ``lotus demo``: with the seed of the original, it
does not begin where the original began.
"""

import re
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.cli import choosing, options, parsing, trained_on
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.output import LISTS, Output
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.datasets import Data
from lotus_unlearning.evaluation import describe
from lotus_unlearning.methods import Retrain
from lotus_unlearning.runtime import Runtime, fingerprint
from lotus_unlearning.splits import Split, Splits
from lotus_unlearning.training import Recipe, Trained, train
from lotus_unlearning.unlearning import Unlearned, unlearn

_EXAMPLES = """
lotus train --out runs/original                            # the digits of scikit-learn
lotus train --without ids:3,9,14 --out runs/gold
lotus train --data fashion-mnist --model resnet18 --recipe.epochs 10 --recipe.shift 2

with images of your own:
  lotus train --data imagefolder:photos --model timm:resnet18 --pretrained true
"""


def main(words: list[str]) -> None:
    """Train and write a run folder."""
    parser = parsing.parser(
        "train", "Train a model, on all training images or without some of them.", _EXAMPLES
    )
    options.add_data(parser, default="digits")
    parser.add_argument("--model", type=str, default="resnet-thin", help="see lotus list models")
    parser.add_argument("--pretrained", type=bool, default=False, help="start from known weights")
    options.add_forget(parser, "--without", None, "leave out images")
    parser.add_class_arguments(Recipe, "recipe")
    options.add_checkpoint(parser)
    options.add_shard(parser)
    options.add_compile(parser)
    options.add_run(parser, "runs/original or runs/gold", seed="of training")
    chosen = parsing.parse(parser, words)
    options.check_run(chosen)
    recipe = Recipe(**vars(chosen.recipe))
    output = Output.of("train", words, chosen, "original" if chosen.without is None else "gold")
    with output.kept():
        made = _run(output, recipe)
    say(f"trained in {made.seconds:.1f} s: {output.final}")


def _run(output: Output, recipe: Recipe) -> Trained | Unlearned:
    """Train and write."""
    chosen = output.options
    with output.processes.first_goes_ahead():
        data = options.load_data(chosen)
    architecture = options.architecture(chosen.model, data)
    done = _train(chosen, data, architecture, recipe)
    manifest = {
        **output.facts(TrainingImages.of(data)),
        "method": describe(recipe),
        "seconds": done.made.seconds,
        "peak_memory_bytes": done.made.peak_memory_bytes,
        "weights_sha256_before": fingerprint(done.start),
        **trained_on.listed("left_out", done.left_out),
    }
    record = partial(
        runs.write,
        config={**output.config(), "recipe": asdict(recipe)},
        manifest=manifest,
        model=done.made.model,
        architecture=architecture,
        history=done.made.history,
        ids={LISTS["without"]: done.left_out.official_ids} if done.left_out is not None else {},
    )
    output.write({"": record})
    return done.made


@dataclass(frozen=True)
class _Done:
    start: nn.Module
    made: Trained | Unlearned
    left_out: Split | None


def _train(chosen: Any, data: Data, architecture: runs.Architecture, recipe: Recipe) -> _Done:
    names = ("seed", "device", "precision", "checkpoint", "shard", "compile")
    place = {name: getattr(chosen, name) for name in names}
    if chosen.without is None:
        start = architecture.build(pretrained=chosen.pretrained, seed=chosen.seed)
        say(f"training {chosen.model} on {len(data.train):,} images of {chosen.data}")
        held_out = data.unseen if recipe.patience is not None else None
        return _Done(start, train(start, data.train, recipe, held_out=held_out, **place), None)
    splits = _without(chosen, data)
    # where Retrain begins on its own; with pre-trained weights, the last layer begins anew
    seed = Runtime(seed=chosen.seed).draw_seed()
    start = architecture.build(pretrained=chosen.pretrained, seed=seed)
    say(f"training {chosen.model} on {len(splits.retain):,} images of {chosen.data}")
    made = unlearn(start, splits, Retrain(recipe=recipe, start=start), **place)
    return _Done(start, made, splits.forget)


def _without(chosen: Any, data: Data) -> Splits:
    """What ``--without`` leaves out, as ``--forget`` of other commands names it."""
    try:
        return choosing.choose(data, chosen.without, chosen.forget_seed, chosen.on_overlap)
    except ValueError as error:
        raise ValueError(re.sub(r"(?m)^(- )?forget: ", r"\1without: ", str(error))) from None
