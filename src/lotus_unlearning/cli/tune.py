"""``lotus tune``: search methods' settings without a gold model and without test images."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.benchmark.grid import block_named
from lotus_unlearning.cli import choosing, loading, options, parsing
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.trained_on import KEY, TrainingImages
from lotus_unlearning.datasets import Data
from lotus_unlearning.evaluation import describe
from lotus_unlearning.files import folders
from lotus_unlearning.methods.spaces import SPACES, rules_of
from lotus_unlearning.own_code import is_own
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe, train
from lotus_unlearning.tuning import (
    Tuned,
    alone,
    entry,
    require_one_process,
    require_optuna,
    trials_csv,
    tune,
)

_EXAMPLES = """
lotus tune lotus --data digits --budget 5
lotus tune scrub --data digits --forget 0.2 --budget 3 --out runs/tune-scrub
lotus tune all --block fashion-mnist --budget 15      # every method, on a block of the benchmark

with a model and a list of your own:
  lotus tune scrub --model runs/original --forget ids.txt --budget 50
"""
BLOCK_SEED = 100
"""With a block, all is drawn by seeds from here on, which the benchmark never uses: what it
measures was not tuned on."""
_DATA = ("data", "limit", "size", "data_seed", "unseen_from")
_FROM_BLOCK = (
    *_DATA, "model", "architecture", "pretrained", "recipe", "forget_seed", "batch_size",
    "precision",
)  # fmt: skip
_BLOCK_HELP = (
    "data, model and recipe of a block of lotus bench (digits, fashion-mnist, cifar-10, ...); "
    f"everything is drawn by --seed, {BLOCK_SEED} then if not given, which lotus bench never uses"
)
_SEEDS = ("seed", "data_seed", "forget_seed")
_OURS = ("tuned.yaml", "trials.csv", "trials.journal", ".search.running")
"""Files by which the folder of a search is known."""


def main(words: list[str]) -> int:
    """Search, and write the best settings to ``OUT/tuned.yaml``; goes on where it stopped.

    Returns:
        130 if interrupted, else 0.
    """
    parser = _parser()
    chosen, given = parsing.parse(parser, words), parsing.given(parser, words)
    options.check_run(chosen)
    if not is_own(chosen.method) and chosen.method not in ("all", *SPACES):
        raise ValueError(options.unknown("method", chosen.method, ("all", *SPACES)))
    if chosen.method != "all":
        rules_of(chosen.method)
    if min(chosen.budget, chosen.draws) < 1:
        raise ValueError(
            f"budget, draws: expected at least 1, got {chosen.budget} and {chosen.draws}"
        )
    require_one_process()
    require_optuna()
    recipe: Recipe | None = Recipe(**vars(chosen.recipe))
    if chosen.block is not None:
        recipe = _from_block(chosen, given)
    for seed in _SEEDS:
        setattr(chosen, seed, getattr(chosen, seed) or 0)
    if chosen.model is not None:
        loading.inherit_data(chosen, given, loading.first_run(chosen.model))
    elif chosen.data is None:
        raise ValueError(
            "data: expected --data to train an original on, --model of a run, or --block"
        )
    name = f"tune-{chosen.method.rpartition(':')[2]}" + (f"-{chosen.block}" if chosen.block else "")
    out = Path(chosen.out or f"runs/{name}")
    _require_own(out)
    try:
        with alone(out / "search"):
            _search(chosen, recipe, out)
    except KeyboardInterrupt:
        say(f"\nlotus tune: interrupted; finished trials are in {out}. The same command goes on.")
        return 130
    return 0


def _parser() -> ArgumentParser:
    parser = parsing.parser("tune", "Search the settings of a method.", _EXAMPLES)
    parser.add_argument(
        "method", type=str, help=f"{', '.join(SPACES)}, all, or python:MODULE:CLASS of your own"
    )
    parser.add_argument("--block", type=str | None, default=None, help=_BLOCK_HELP)
    parser.add_argument("--budget", type=int, default=20, help="trials, the defaults among them")
    parser.add_argument(
        "--draws",
        type=int,
        default=2,
        help="unlearnings of each trial, with the next seed; of a share, also the next forget_seed",
    )
    parser.add_argument("--model", type=str | None, default=None, help="run folder of the original")
    parser.add_argument("--architecture", type=str, default="resnet-thin", help="if none is given")
    parser.add_argument("--pretrained", type=bool, default=False, help="start from known weights")
    options.add_data(parser, default=None)
    options.add_forget(parser, "--forget", "0.1", "forget images")
    parser.add_class_arguments(Recipe, "recipe")
    options.add_batch_size(parser)
    options.add_run(parser, "runs/tune-METHOD", seed="of training, unlearning and the search")
    parser.set_defaults(dict.fromkeys(_SEEDS))
    return parser


def _require_own(out: Path) -> None:
    """A search writes into a folder of its own, where it may go on.

    Raises:
        ValueError: If something else is there, or nothing can be written.
    """
    folders.require_writable(out / _OURS[0])
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not any((out / name).exists() for name in _OURS):
        raise ValueError(
            f"out: expected a new folder or that of a search, got {str(out)!r}, which holds "
            "something else; choose another --out"
        )


def _from_block(chosen: Any, given: set[str]) -> Recipe | None:
    """Set the options that the block decides; returns its recipe."""
    decided = [key for key in _FROM_BLOCK if key in given]
    if decided:
        raise ValueError(
            f"block: expected data, model, recipe and seeds to be those of {chosen.block}, got "
            f"--{', --'.join(decided)}; leave them out, or leave out --block"
        )
    setup = block_named(chosen.block).setup
    chosen.data, chosen.limit, chosen.size = setup.data.name, setup.data.limit, setup.data.size
    chosen.unseen_from, chosen.architecture = setup.data.unseen_from, setup.model
    chosen.pretrained, chosen.batch_size = setup.pretrained, setup.batch_size
    chosen.precision = setup.precision
    chosen.seed = BLOCK_SEED if chosen.seed is None else chosen.seed
    chosen.data_seed = chosen.forget_seed = chosen.seed
    return setup.recipe


def _search(chosen: Any, recipe: Recipe | None, out: Path) -> None:
    facts: dict[str, Any] = {"block": chosen.block, **{key: getattr(chosen, key) for key in _DATA}}
    facts |= {"forget": chosen.forget, "forget_seed": chosen.forget_seed, "budget": chosen.budget}
    data = options.load_data(chosen)
    sets = _sets(data, chosen)
    original, origin = _original(chosen, recipe, data, out / "original")
    found: list[Tuned] = []
    for name in sorted(SPACES) if chosen.method == "all" else [chosen.method]:
        folder = out / name if chosen.method == "all" else out
        found.append(
            tune(
                original,
                sets,
                name,
                budget=chosen.budget,
                draws=chosen.draws,
                seed=chosen.seed,
                journal=folder / "trials.journal",
                recipe=loading.recipe_of(chosen.model),
                device=chosen.device,
                precision=chosen.precision,
                batch_size=chosen.batch_size,
            )
        )
        say(_sentence(found[-1]))
        entries = {one.name: entry(one, **origin, **facts) for one in found}
        text = yaml.safe_dump(entries, sort_keys=False)
        folders.replace_text(out / "trials.csv", trials_csv(found))
        folders.replace_text(out / "tuned.yaml", text)
    print(text, end="")
    say(f"settings: {out / 'tuned.yaml'}, all trials: {out / 'trials.csv'}")


def _sentence(found: Tuned) -> str:
    best, first, floor = found.best.value, found.default.value, found.noise_floor
    if found.best is found.default:
        return (
            f"{found.name}: objective {best:.6f}, that of the defaults, which no other trial "
            f"bettered; the unchanged original's is {found.unchanged:.6f}"
        )
    noise = "the noise floor, unknown with one draw" if floor is None else f"noise ({floor:.6f})"
    verdict = {True: "better", False: "not better", None: "perhaps better"}[found.better_than_noise]
    return (
        f"{found.name}: objective {best:.6f}, {verdict} than the defaults' {first:.6f} by more "
        f"than {noise}; the unchanged original's is {found.unchanged:.6f}"
    )


def _sets(data: Data, chosen: Any) -> list[Splits]:
    """A share is drawn anew for each draw; whatever else is named is one set."""
    count = chosen.draws if _is_share(str(chosen.forget)) else 1
    seeds = range(chosen.forget_seed, chosen.forget_seed + max(1, count))
    return [choosing.choose(data, chosen.forget, seed, chosen.on_overlap) for seed in seeds]


def _is_share(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not Path(text).exists()


def _original(
    chosen: Any, recipe: Recipe | None, data: Data, folder: Path
) -> tuple[nn.Module, dict[str, Any]]:
    """The original, and where it comes from; one that is trained here is kept in ``folder``."""
    here = TrainingImages.of(data)
    if chosen.model is not None:
        loaded = loading.load_model("model", chosen.model, data, here, chosen)
        return loaded.model, {"model": loaded.architecture.name, "original": chosen.model}
    facts = {
        "model": chosen.architecture,
        "pretrained": chosen.pretrained,
        "recipe": asdict(recipe) if recipe is not None else None,
    }
    place = {"seed": chosen.seed, "precision": chosen.precision}
    config = {**{key: getattr(chosen, key) for key in _DATA}, **facts, **place}
    if folder.exists():
        _require_same(config, folder)
    else:
        _train(chosen, recipe, data, config, here, folder)
    return runs.read(folder).model(), facts


def _require_same(config: dict[str, Any], folder: Path) -> None:
    known = runs.read(folder).config
    differing = [key for key in {**known, **config} if known.get(key) != config.get(key)]
    if differing:
        told = ", ".join(
            f"{key} (expected {known.get(key)}, got {config.get(key)})" for key in differing
        )
        raise ValueError(
            f"{folder}: expected the original of this search, but what was asked for differs: "
            f"{told}; choose another --out, or delete {folder.parent}"
        )


def _train(
    chosen: Any,
    recipe: Recipe | None,
    data: Data,
    config: dict[str, Any],
    here: TrainingImages,
    folder: Path,
) -> None:
    """Train the original, and keep it: a search that goes on needs it again."""
    architecture = options.architecture(chosen.architecture, data)
    model = architecture.build(pretrained=chosen.pretrained, seed=chosen.seed)
    manifest: dict[str, Any] = {"command": "tune", "seed": chosen.seed, KEY: here.record}
    history: Any = ()
    if recipe is not None:
        say(f"training {chosen.architecture} on {len(data.train):,} images of {chosen.data}")
        made = train(
            model,
            data.train,
            recipe,
            held_out=data.unseen if recipe.patience is not None else None,
            seed=chosen.seed,
            device=chosen.device,
            precision=chosen.precision,
        )
        model, history = made.model, made.history
        manifest |= {"method": describe(recipe), "seconds": made.seconds, "left_out": []}
    with folders.folder(folder) as path:
        runs.write(
            path,
            config=config,
            model=model,
            architecture=architecture,
            history=history,
            manifest=manifest,
        )
