"""``lotus demo``: train, retrain, unlearn and compare on small real images.

Original and gold share a seed, but not where they begin: ``Retrain`` draws that anew.
"""

from pathlib import Path
from typing import Any

from lotus_unlearning import runs
from lotus_unlearning.cli import options
from lotus_unlearning.cli.methods import add_method, build_method
from lotus_unlearning.cli.options import say
from lotus_unlearning.evaluation import describe, evaluate
from lotus_unlearning.methods import Retrain
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.training import Recipe, Trained, train
from lotus_unlearning.unlearning import Unlearned, unlearn

_EXAMPLES = """
lotus demo
lotus demo --data fashion-mnist --limit 5000
lotus demo --method scrub --forget class:3
"""
_LIMITS = {"fashion-mnist": 5000, "cifar-10": 5000, "cifar-100": 10000}


def main(words: list[str]) -> None:
    """Run the demonstration and write ``runs/demo``."""
    parser = options.parser(
        "demo", "Train a model and its gold twin, unlearn, and compare.", _EXAMPLES
    )
    options.add_data(parser, default="digits")
    parser.add_argument("--model", type=str, default="resnet-thin", help="see lotus list models")
    options.add_forget(parser, "--forget", "0.1", "forget images")
    parser.add_class_arguments(Recipe, "recipe")
    words = add_method(parser, words, preset="demo")
    options.add_run(parser, "runs/demo")
    chosen = parser.parse_args(words)
    final = runs.destination(chosen.out, "demo")
    recipe, method = Recipe(**vars(chosen.recipe)), build_method(chosen.method)
    if chosen.limit is None:
        chosen.limit = _LIMITS.get(chosen.data)
    data = options.load_data(chosen)
    splits = options.choose(data, chosen.forget, chosen.forget_seed)
    architecture = options.architecture(chosen.model, data)
    place = {"device": chosen.device, "precision": chosen.precision, "seed": chosen.seed}
    say(f"1/4  training {chosen.model} on {len(data.train):,} images of {chosen.data}")
    original = train(architecture.build(seed=chosen.seed), data.train, recipe, **place)
    say(f"2/4  retraining without {len(splits.forget):,} of them: the gold model")
    gold = unlearn(original.model, splits, Retrain(recipe=recipe), **place)
    say(f"3/4  {type(method).__name__} makes the trained model forget them")
    result = unlearn(original.model, splits, method, batch_size=chosen.batch_size, **place)
    say("4/4  measuring")
    facts = {
        "command": "demo",
        "data": chosen.data,
        "model": chosen.model,
        "seed": chosen.seed,
        "forget_seed": chosen.forget_seed,
        "recipe": describe(recipe)["settings"],
    }
    evaluation = evaluate(
        result, splits, original=original, gold=gold, device=chosen.device, manifest=facts
    )
    config = options.plain(chosen)
    forgotten = splits.forget.ids.tolist()
    with runs.folder(final) as path:
        _write(path / "original", config, architecture, original, {})
        _write(path / "gold", config, architecture, gold, {"left_out": forgotten})
        more = {"forgotten": forgotten, "weights_sha256_before": fingerprint(original.model)}
        _write(path, config, architecture, result, more, evaluation)
    print(evaluation.to_markdown())
    say(f"page: {final / 'report.html'}")


def _write(
    path: Path,
    config: dict[str, Any],
    architecture: runs.Architecture,
    made: Trained | Unlearned,
    more: dict[str, Any],
    evaluation: Any = None,
) -> None:
    by = made.recipe if isinstance(made, Trained) else made.method
    runs.write(
        path,
        config=config,
        model=made.model,
        architecture=architecture,
        history=made.history,
        manifest={
            "command": "demo",
            "method": describe(by),
            "seed": made.seed,
            "seconds": made.seconds,
            "peak_memory_bytes": made.peak_memory_bytes,
            **more,
        },
        evaluation=evaluation,
    )
