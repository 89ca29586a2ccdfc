"""``lotus unlearn``: make a trained model forget images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning import runs
from lotus_unlearning.cli import choosing, loading, options, parsing, trained_on
from lotus_unlearning.cli.loading import Loaded
from lotus_unlearning.cli.methods import (
    add_method,
    build_method,
    hint_of_class,
    hint_of_retraining,
    said,
    train_as_original,
)
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.output import LISTS, Output
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.evaluation import Evaluation, describe, evaluate, poorly_taught, unchanged
from lotus_unlearning.methods.settings import starting_from
from lotus_unlearning.runtime import Runtime, fingerprint
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Method, Unlearned, unlearn

_EXAMPLES = """
lotus train --out runs/original              # the digits of scikit-learn
lotus unlearn --model runs/original --forget 0.1
lotus unlearn --model runs/original --forget class:3
lotus train --without ids:3,9,14 --out runs/gold
lotus unlearn --model runs/original --forget ids:3,9,14 --method scrub --gold runs/gold \\
              --out runs/request-17
lotus unlearn --config runs/request-17/config.yaml             # the same again

with a model, images and a list of your own:
  lotus unlearn --model photos.pt --architecture timm:resnet18 --data imagefolder:photos \\
                --forget to_delete.csv --out runs/request-18
"""


def main(words: list[str]) -> None:
    """Unlearn, measure, and write a run folder with its page."""
    parser = parsing.parser("unlearn", "Make a trained model forget images.", _EXAMPLES)
    read = _add_options(parser, words)
    chosen = parsing.parse(parser, read)
    given = parsing.given(parser, read)
    options.check_run(chosen)
    method = build_method(chosen.method)
    output = Output.of("unlearn", words, chosen, "unlearned")
    with output.kept():
        evaluation = _run(output, _load(chosen, given, output), method)
    output.show(evaluation)


def _run(output: Output, inputs: "_Inputs", method: Method) -> Evaluation:
    """Unlearn, measure and write."""
    chosen, splits = output.options, inputs.splits
    hint_of_class(method, splits)
    method = _from_start(inputs.original, method, chosen)
    say(f"{type(method).__name__} forgets {len(splits.forget):,} of {inputs.here.images:,} images")
    hint_of_retraining(method, inputs.original.run, splits, chosen.batch_size)
    result = unlearn(
        inputs.original.model,
        splits,
        method,
        seed=chosen.seed,
        batch_size=chosen.batch_size,
        device=chosen.device,
        precision=chosen.precision,
        shard=chosen.shard,
        compile=chosen.compile,
        checkpoint=chosen.checkpoint,
    )
    say(f"took {result.seconds:.1f} s; measuring")
    facts = _facts(output, inputs, method, result)
    evaluation = evaluate(
        result,
        splits,
        original=inputs.original.model,
        gold=inputs.gold.with_cost if inputs.gold is not None else None,
        device=chosen.device,
        shard=chosen.shard,
        compile=chosen.compile,
        manifest=facts,
    )
    for sentence in (facts["unchanged"], poorly_taught(evaluation.values, result)):
        if sentence is not None:
            say(sentence)
    output.write({"": _record(output, inputs, result, facts, evaluation)})
    return evaluation


def _from_start(original: Loaded, method: Method, chosen: Any) -> Method:
    """What trains anew begins from published weights, if the original began there."""
    run = original.run
    of_run = run is not None and bool(run.config.get("pretrained"))
    if not (of_run if chosen.pretrained is None else chosen.pretrained):
        return method
    drawn = Runtime(seed=chosen.seed).draw_seed()
    return starting_from(method, lambda: original.architecture.build(pretrained=True, seed=drawn))


def _add_options(parser: ArgumentParser, words: list[str]) -> list[str]:
    options.add_model(parser, "--model", "to be changed", required=True)
    options.add_architecture(parser)
    options.add_data(parser, default=None)
    options.add_forget(parser, "--forget", None, "forget images")
    options.add_model(parser, "--gold", "retrained, to compare with")
    read = add_method(parser, words)
    train_as_original(parser, read, loading.recipe_of(said("model", read)))
    parser.add_argument(
        "--pretrained",
        type=bool | None,
        default=None,
        help="whether what trains anew begins from known weights, as the original did (default: as "
        "the run of --model says)",
    )
    options.add_batch_size(parser)
    options.add_checkpoint(parser)
    options.add_shard(parser)
    options.add_compile(parser)
    options.add_run(parser, "runs/unlearned", seed="of unlearning")
    return read


@dataclass(frozen=True)
class _Inputs:
    here: TrainingImages
    splits: Splits
    original: Loaded
    gold: Loaded | None


def _load(chosen: Any, given: set[str], output: Output) -> _Inputs:
    run = loading.first_run(chosen.model)
    loading.inherit_data(chosen, given, run)
    if chosen.forget is None:
        raise ValueError(_nothing_to_forget(run))
    with output.processes.first_goes_ahead():
        data = options.load_data(chosen)
    here = TrainingImages.of(data)
    original = loading.load_model("model", chosen.model, data, here, chosen)
    splits = choosing.choose(data, chosen.forget, chosen.forget_seed, chosen.on_overlap)
    splits = loading.without_gone(original, chosen.model, splits, here)
    gold = None
    if chosen.gold is not None:
        gold = loading.load_model("gold", chosen.gold, data, here, chosen)
        loading.require_gold(gold, chosen.gold, splits, here)
    return _Inputs(here, splits, original, gold)


def _nothing_to_forget(run: runs.Run | None) -> str:
    message = "forget: expected images to forget; pass --forget FILE, ids:3,9, 0.1 or class:NAME"
    forgotten = () if run is None else run.manifest.get("forgotten", ())
    if run is None or not forgotten:
        return message
    return (
        f"{message}. {run.path} has forgotten {len(forgotten):,} images already: to measure it, "
        f"lotus evaluate --unlearned {run.path}; to make it again, lotus unlearn --config "
        f"{run.path / 'config.yaml'}"
    )


def _facts(output: Output, inputs: _Inputs, method: Method, made: Unlearned) -> dict[str, Any]:
    return {
        **output.facts(inputs.here),
        "method": describe(method),
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
        "weights_sha256_before": fingerprint(inputs.original.model),
        "unchanged": unchanged(inputs.original.model, made),
    }


def _record(
    output: Output, inputs: _Inputs, made: Unlearned, facts: dict[str, Any], found: Evaluation
) -> Callable[[Path], None]:
    forget = inputs.splits.forget
    lists = trained_on.listed("forgotten", forget)
    return partial(
        runs.write,
        config=output.config(),
        manifest={**facts, **lists, **loading.gone_before(inputs.original)},
        model=made.model,
        architecture=inputs.original.architecture,
        history=made.history,
        evaluation=found,
        ids={LISTS["forget"]: forget.official_ids},
    )
