"""``lotus demo``: train, retrain, unlearn and compare on small real images.

Original and gold share a seed, but not where they begin: ``Retrain`` draws that anew.

By default some training images have wrong labels, and those are forgotten. A network can only know
them by heart, so that forgetting shows; a small network hardly remembers single images that look
like the others of their class.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning import runs
from lotus_unlearning.cli import choosing, configs, options, parsing, trained_on
from lotus_unlearning.cli.methods import add_method, build_method, hint_of_class, said
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.output import LISTS, Output
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.datasets import Data, mislabelled
from lotus_unlearning.evaluation import Evaluation, describe, evaluate, unchanged
from lotus_unlearning.methods import Retrain
from lotus_unlearning.report.page import number, percent
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe, Trained, train
from lotus_unlearning.unlearning import Method, Unlearned, unlearn

_EXAMPLES = """
lotus demo                                       # forget the images with wrong labels
lotus demo --method scrub --recipe.epochs 10     # the same, by another method
lotus demo --data digits                         # a tenth of the images, drawn by chance
lotus demo --data digits --forget class:3
lotus demo --data fashion-mnist --limit 2000
"""
_WRONG_LABELS = (
    "RF-JSD compares images that have the same label. Labels of the forgotten images are wrong "
    "here, so it says nothing about forgetting."
)
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
    if chosen.forget is None:
        chosen.forget = "0.1" if data.forget is None else "official"
    splits = choosing.choose(data, chosen.forget, chosen.forget_seed, chosen.on_overlap)
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
    if data.name == mislabelled.NAME and chosen.forget == "official":
        evaluation = evaluation.with_note(_WRONG_LABELS)
    _write(output, made, facts, splits, evaluation)
    output.show(evaluation)
    say(unchanged(made.original.model, made.unlearned) or _happened(evaluation))


def _add_options(parser: ArgumentParser, words: list[str]) -> list[str]:
    limits = ", ".join(f"{limit:,} of {name}" for name, limit in _LIMITS.items())
    options.add_data(parser, default=mislabelled.NAME, limits=f"{limits}, all of the others")
    parser.add_argument("--model", type=str, default="resnet-thin", help="see lotus list models")
    meaning = "forget images (if not given: official, else 0.1)"
    options.add_forget(parser, "--forget", None, meaning)
    parser.add_class_arguments(Recipe, "recipe")
    read = add_method(parser, words, preset=_preset(words))
    options.add_batch_size(parser)
    options.add_run(parser, "runs/demo", seed="of training and unlearning")
    return read


def _preset(words: list[str]) -> str:
    """Whose settings are the defaults for what ``words`` ask to forget."""
    words = configs.expanded("demo", words)
    wrong = said("data", words) in (None, mislabelled.NAME)
    return "mislabelled" if wrong and said("forget", words) in (None, "official") else "demo"


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


def _happened(found: Evaluation) -> str:
    """The result in one sentence."""
    values, images = found.values, len(found.page["manifest"]["forgotten"])
    counts, tests = (
        {m: values[m][f"{part}_accuracy"] or 0.0 for m in ("original", "unlearned", "gold")}
        for part in ("forget", "test")
    )
    kept = {model: round(images * share) for model, share in counts.items()}
    before, after = (number(values[m]["js_divergence"]) for m in ("original", "unlearned"))
    return (
        f"what happened: of {images:,} images to forget, the original gives "
        f"{kept['original']:,} the label that it was taught, the unlearned model "
        f"{kept['unlearned']:,}, and gold, which never saw them, {kept['gold']:,}; the distance to "
        f"gold (JSD) went from {before} to {after}, accuracy on test images from "
        f"{percent(tests['original'])} to {percent(tests['unlearned'])}"
    )


def _cost(made: Trained | Unlearned) -> dict[str, Any]:
    by = made.recipe if isinstance(made, Trained) else made.method
    return {
        "method": describe(by),
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
    }
