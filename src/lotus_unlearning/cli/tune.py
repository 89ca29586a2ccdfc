"""``lotus tune``: search a method's settings without a gold model and without test images."""

from pathlib import Path

import yaml

from lotus_unlearning import runs
from lotus_unlearning.cli import options
from lotus_unlearning.cli.options import say
from lotus_unlearning.methods.spaces import SPACES
from lotus_unlearning.training import Recipe, train
from lotus_unlearning.tuning import tune

_EXAMPLES = """
lotus tune lotus --data digits --budget 20
lotus tune scrub --model runs/original --forget ids.txt --budget 50 --out runs/tune-scrub
"""


def main(words: list[str]) -> None:
    """Search, and write the best settings to ``OUT/tuned.yaml``; goes on where it stopped."""
    parser = options.parser("tune", "Search the settings of a method.", _EXAMPLES)
    parser.add_argument("method", type=str, help=", ".join(k for k, v in SPACES.items() if v))
    parser.add_argument("--budget", type=int, default=20, help="trials, the defaults among them")
    parser.add_argument("--model", type=str | None, default=None, help="run folder of the original")
    parser.add_argument("--architecture", type=str, default="resnet-thin", help="if none is given")
    options.add_data(parser, default=None)
    options.add_forget(parser, "--forget", "0.1", "forget images")
    parser.add_class_arguments(Recipe, "recipe")
    options.add_run(parser, "runs/tune-METHOD")
    chosen = parser.parse_args(words)
    if chosen.method not in SPACES:
        raise ValueError(options.unknown("method", chosen.method, SPACES))
    if chosen.model is None and chosen.data is None:
        raise ValueError("data: expected --data to train an original on, or --model of a run")
    if chosen.model is not None:
        options.inherit_data(chosen)
    data = options.load_data(chosen)
    splits = options.choose(data, chosen.forget, chosen.forget_seed)
    place = {"device": chosen.device, "precision": chosen.precision}
    if chosen.model is not None:
        original = options.load_model(chosen.model, None, data)[0]
    else:
        say(f"training {chosen.architecture} on {len(data.train):,} images of {chosen.data}")
        fresh = options.architecture(chosen.architecture, data).build(seed=chosen.seed)
        recipe = Recipe(**vars(chosen.recipe))
        original = train(fresh, data.train, recipe, seed=chosen.seed, **place).model
    out = Path(chosen.out or f"runs/tune-{chosen.method}")
    found = tune(
        original,
        splits,
        chosen.method,
        budget=chosen.budget,
        seed=chosen.seed,
        journal=out / "trials.journal",
        batch_size=chosen.batch_size,
        **place,
    )
    search = {"objective": found.objective, "default": found.default, "trials": found.trials}
    facts = {
        key: getattr(chosen, key)
        for key in ("data", "limit", "data_seed", "forget", "forget_seed", "seed")
    }
    entry = {chosen.method: {"settings": found.settings, "search": {**search, **facts}}}
    text = yaml.safe_dump(entry, sort_keys=False)
    runs.replace_text(out / "tuned.yaml", text)
    print(text, end="")
    say(f"objective {found.objective:.4f} (defaults: {found.default:.4f}): {out / 'tuned.yaml'}")
