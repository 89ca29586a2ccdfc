"""``lotus demo``: train, retrain, unlearn and compare on small real images.

Original and gold share a seed, but not where they begin: ``Retrain`` draws that anew.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning import runs
from lotus_unlearning.cli import options, parsing, trained_on
from lotus_unlearning.cli.methods import add_method, build_method, hint_of_class
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.output import LISTS, Output
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.datasets import Data
from lotus_unlearning.evaluation import Evaluation, describe, evaluate, unchanged
from lotus_unlearning.methods import Retrain
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe, Trained, train
from lotus_unlearning.unlearning import Method, Unlearned, unlearn

_EXAMPLES = """
lotus demo
lotus demo --forget class:3
lotus demo --method scrub --recipe.epochs 10
lotus demo --data fashion-mnist --limit 2000
"""
_LIMITS = {"fashion-mnist": 5000, "cifar-10": 5000, "cifar-100": 10000}


def main(words: list[str]) -> None:
    """Run the demonstration and write ``runs/demo``."""
    parser = parsing.parser(
        "demo", "Train a model and its gold twin, unlearn, and compare.", _EXAMPLES
    )
    read = _add_options(parser, words)
    chosen = parsing.parse(parser, read)
    options.check_run(chosen)
    recipe, method = Recipe(**vars(chosen.recipe)), build_method(chosen.method)
    output = Output.of("demo", words, chosen, "demo")
    if chosen.limit is None:
        chosen.limit = _LIMITS.get(chosen.data)
    with output.processes.first_goes_ahead():
        data = options.load_data(chosen)
    splits = options.choose(data, chosen.forget, chosen.forget_seed, chosen.on_overlap)
    hint_of_class(method, splits)
    made = _make(chosen, data, splits, recipe, method)
    say("4/4  measuring")
    facts = {**output.facts(TrainingImages.of(data)), "recipe": describe(recipe)["settings"]}
    evaluation = evaluate(
        made.unlearned,
        splits,
        original=made.original,
        gold=made.gold,
        device=chosen.device,
        manifest=facts,
    )
    said = unchanged(made.original.model, made.unlearned)
    if said is not None:
        say(said)
    _write(output, made, facts, splits, evaluation)
    output.show(evaluation)


def _add_options(parser: ArgumentParser, words: list[str]) -> list[str]:
    limits = ", ".join(f"{limit:,} of {name}" for name, limit in _LIMITS.items())
    options.add_data(parser, default="digits", limits=f"{limits}, all of the others")
    parser.add_argument("--model", type=str, default="resnet-thin", help="see lotus list models")
    options.add_forget(parser, "--forget", "0.1", "forget images")
    parser.add_class_arguments(Recipe, "recipe")
    read = add_method(parser, words, preset="demo")
    options.add_batch_size(parser)
    options.add_run(parser, "runs/demo", seed="of training and unlearning")
    return read


@dataclass(frozen=True)
class _Made:
    architecture: runs.Architecture
    original: Trained
    gold: Unlearned
    unlearned: Unlearned


def _make(chosen: Any, data: Data, splits: Splits, recipe: Recipe, method: Method) -> _Made:
    architecture = options.architecture(chosen.model, data)
    place = {"device": chosen.device, "precision": chosen.precision, "seed": chosen.seed}
    say(f"1/4  training {chosen.model} on {len(data.train):,} images of {chosen.data}")
    held_out = data.unseen if recipe.patience is not None else None
    start = architecture.build(seed=chosen.seed)
    original = train(start, data.train, recipe, held_out=held_out, **place)
    say(f"2/4  retraining without {len(splits.forget):,} of them: the gold model")
    gold = unlearn(original.model, splits, Retrain(recipe=recipe), **place)
    say(f"3/4  {type(method).__name__} makes the trained model forget them")
    made = unlearn(original.model, splits, method, batch_size=chosen.batch_size, **place)
    return _Made(architecture, original, gold, made)


def _write(
    output: Output, made: _Made, facts: dict[str, Any], splits: Splits, evaluation: Evaluation
) -> None:
    before = fingerprint(made.original.model)
    more = {
        "original": {"left_out": [], "left_out_content": []},
        "gold": trained_on.listed("left_out", splits.forget),
        "": {
            **trained_on.listed("forgotten", splits.forget),
            "weights_sha256_before": before,
            "unchanged": unchanged(made.original.model, made.unlearned),
        },
    }
    models: dict[str, Trained | Unlearned]
    models = {"original": made.original, "gold": made.gold, "": made.unlearned}
    output.write(
        {
            part: partial(
                runs.write,
                config=output.config(part),
                model=model.model,
                architecture=made.architecture,
                history=model.history,
                manifest={**facts, **_cost(model), **more[part]},
                evaluation=evaluation if part == "" else None,
                ids={LISTS["forget"]: splits.forget.official_ids} if part == "" else {},
            )
            for part, model in models.items()
        }
    )


def _cost(made: Trained | Unlearned) -> dict[str, Any]:
    by = made.recipe if isinstance(made, Trained) else made.method
    return {
        "method": describe(by),
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
    }
