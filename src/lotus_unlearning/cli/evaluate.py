"""``lotus evaluate``: up to three models side by side."""

from functools import partial
from typing import Any

from lotus_unlearning import runs
from lotus_unlearning.cli import choosing, loading, options, parsing, trained_on
from lotus_unlearning.cli.loading import Loaded
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.output import LISTS, Output
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.evaluation import evaluate
from lotus_unlearning.splits import Splits

_EXAMPLES = """
lotus train --out runs/original                             # the digits of scikit-learn
lotus train --without 0.1 --out runs/gold
lotus unlearn --model runs/original --forget 0.1 --out runs/unlearned
lotus evaluate --unlearned runs/unlearned --original runs/original --gold runs/gold
lotus evaluate --original runs/original --gold runs/gold    # how far is it to go?

with models in files:
  lotus evaluate --unlearned after.safetensors --original before.pt --architecture resnet18 \\
                 --data cifar-10 --forget ids.txt
"""
_MODELS = ("unlearned", "original", "gold")


def main(words: list[str]) -> None:
    """Measure, print the table, write a folder with the page."""
    chosen, given = _options(words)
    paths = {name: path for name in _MODELS if (path := getattr(chosen, name)) is not None}
    if not paths:
        raise ValueError("expected models to compare; pass --unlearned, --original, --gold or some")
    output = Output.of("evaluate", words, chosen, "evaluation")
    loading.inherit_data(chosen, given, loading.first_run(*paths.values()))
    with output.processes.first_goes_ahead():
        data = options.load_data(chosen)
    here = TrainingImages.of(data)
    models = {
        name: loading.load_model(name, path, data, here, chosen) for name, path in paths.items()
    }
    splits = choosing.choose(
        data, _to_forget(chosen, models), chosen.forget_seed, chosen.on_overlap
    )
    splits = _checked(paths, models, splits, here)
    precision = "float32" if chosen.precision == "auto" else chosen.precision
    evaluation = evaluate(
        models["unlearned"].with_cost if "unlearned" in models else None,
        splits,
        original=models["original"].model if "original" in models else None,
        gold=models["gold"].with_cost if "gold" in models else None,
        seed=chosen.seed,
        device=chosen.device,
        precision=precision,
        shard=chosen.shard,
        compile=chosen.compile,
        manifest=output.facts(here, precision),
    )
    lists = trained_on.listed("forgotten", splits.forget)
    record = partial(
        runs.write,
        config=output.config(),
        manifest={**evaluation.page["manifest"], **lists},
        evaluation=evaluation,
        ids={LISTS["forget"]: splits.forget.official_ids},
    )
    output.write({"": record})
    output.show(evaluation)


def _options(words: list[str]) -> tuple[Any, set[str]]:
    """Options as they were read, and the names of those that were given."""
    parser = parsing.parser("evaluate", "Measure how well a model forgot.", _EXAMPLES)
    for name, meaning in zip(_MODELS, ("after", "before", "retrained"), strict=True):
        options.add_model(parser, f"--{name}", meaning)
    options.add_architecture(parser)
    options.add_data(parser, default=None)
    options.add_forget(parser, "--forget", None, "images that were to be forgotten")
    options.add_shard(parser)
    options.add_compile(parser)
    options.add_run(parser, "runs/evaluation", seed="of the bootstrap")
    chosen = parsing.parse(parser, words)
    options.check_run(chosen)
    return chosen, parsing.given(parser, words)


def _to_forget(chosen: Any, models: dict[str, Loaded]) -> Any:
    """What ``--forget`` says, else what the unlearned model forgot, else what gold left out."""
    if chosen.forget is not None:
        return chosen.forget
    for name, kind in (("unlearned", "forgotten"), ("gold", "left_out"), ("gold", "forgotten")):
        run = models[name].run if name in models else None
        known = [] if run is None else run.manifest.get(kind, [])
        if known:
            return list(known)
    raise ValueError(
        "forget: expected the images that were to be forgotten; pass --forget, or the folder of a "
        "lotus unlearn run as --unlearned"
    )


def _checked(
    paths: dict[str, str], models: dict[str, Loaded], splits: Splits, here: TrainingImages
) -> Splits:
    """``splits`` without what was forgotten before; gold and original are what they are called."""
    if "gold" in models:
        loading.require_gold(models["gold"], paths["gold"], splits, here)
    if "unlearned" not in models:
        return splits
    unlearned = models["unlearned"]
    if "original" in models:
        loading.require_original(models["original"], unlearned, paths["original"])
    run = unlearned.run
    if run is not None and "forgotten" in run.manifest:
        known = trained_on.among(run, "forgotten", splits.forget, here)
        if not all(known) or len(known) != len(run.manifest["forgotten"]):
            say(
                f"forget: {len(known):,} images are measured here, {sum(known):,} of them among "
                f"the {len(run.manifest['forgotten']):,} that {paths['unlearned']} forgot"
            )
    return loading.without_gone(
        unlearned, paths["unlearned"], splits, here, ("forgotten_before", "left_out")
    )
