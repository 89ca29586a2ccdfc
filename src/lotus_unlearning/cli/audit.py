"""``lotus audit``: is an unlearned model distinguishable from a retrained one?"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser
from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.audit import Audit, Bank, Probes, Relearning, Trigger, audit, read_bank
from lotus_unlearning.audit.banks import FACTS
from lotus_unlearning.cli import choosing, loading, options, parsing, trained_on
from lotus_unlearning.cli.loading import Loaded
from lotus_unlearning.cli.options import say, show
from lotus_unlearning.cli.output import LISTS, Output
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.datasets import Data
from lotus_unlearning.own_code import imported
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Unlearned

_EXAMPLES = """
lotus bank --model runs/unlearned --golds 16 --out banks/request-17
lotus audit --run runs/unlearned --golds banks/request-17
lotus audit --run runs/unlearned                  # level 0: no retrained models, no verdict
lotus audit --run runs/a --others runs/b runs/c --golds banks/x --shadows banks/x --level 2
lotus audit --run runs/unlearned --golds runs/gold-1 runs/gold-2 runs/gold-3 runs/gold-4
"""
_PATHS = ("run", "original", "golds", "shadows", "others")


def main(words: list[str]) -> None:
    """Compare, print the verdict and the ladder, write a folder with the page."""
    parser = parsing.parser("audit", "Compare an unlearned model with retraining.", _EXAMPLES)
    _add_options(parser)
    chosen = parsing.parse(parser, words)
    given = parsing.given(parser, words)
    options.check_run(chosen)
    trigger = None if chosen.trigger is None else _trigger(chosen.trigger, chosen.target)
    output = Output.of("audit", words, chosen, "audit")
    loading.inherit_data(chosen, given, loading.first_run(chosen.run))
    data = options.load_data(chosen)
    here = TrainingImages.of(data)
    load = partial(_load, data=data, here=here, chosen=chosen)
    unlearned = load("run", chosen.run)
    splits = choosing.choose(
        data, _to_forget(chosen, unlearned), chosen.forget_seed, chosen.on_overlap
    )
    gone = ("forgotten_before", "left_out")
    splits = loading.without_gone(unlearned, chosen.run, splits, here, gone)
    precision = "float32" if chosen.precision == "auto" else chosen.precision
    found = audit(
        unlearned.with_cost if _has_forgotten(unlearned) else unlearned.model,
        splits,
        original=_original(chosen, unlearned, load),
        golds=_golds(chosen.golds, splits, here, load),
        shadows=None if chosen.shadows is None else read_bank(chosen.shadows),
        others=[load("others", path).with_cost for path in chosen.others],
        level=chosen.level,
        probes=Probes(relearning=Relearning(**vars(chosen.relearning)), trigger=trigger),
        seed=chosen.seed,
        device=chosen.device,
        precision=precision,
        facts=output.facts(here, precision),
    )
    output.write({"": partial(_write, output=output, splits=splits, found=found)})
    show(found.to_markdown())
    say(f"page: {output.final / 'audit.html'}")


def _add_options(made: ArgumentParser) -> None:
    options.add_model(made, "--run", "after unlearning", required=True)
    options.add_model(
        made, "--original", "before (if not given: where the run began, if it is there)"
    )
    options.add_architecture(made)
    _add_banks(made)
    options.add_data(made, default=None)
    options.add_forget(made, "--forget", None, "images that were to be forgotten")
    made.add_class_arguments(Relearning, "relearning")
    options.add_run(made, "runs/audit", seed="of the bootstrap")


def _add_banks(made: ArgumentParser) -> None:
    made.add_argument(
        "--golds",
        type=str,
        nargs="*",
        default=[],
        help="a bank made by lotus bank; or run folders of models trained --without the images",
    )
    made.add_argument("--shadows", type=str | None, default=None, help="bank of shadow models")
    made.add_argument(
        "--others", type=str, nargs="*", default=[], help="runs of the same method, other seeds"
    )
    made.add_argument(
        "--level",
        type=Literal[0, 1, 2, 3] | None,
        default=None,
        help="highest rung of the ladder (if not given: 1 with golds, else 0; 2 with shadows or "
        "others, 3 with a trigger)",
    )
    made.add_argument(
        "--trigger",
        type=str | None,
        default=None,
        help="of poisons: python:MODULE:FUNCTION, which puts the trigger into model inputs "
        "[B, C, H, W]; level 3 then says how often it works",
    )
    made.add_argument("--target", type=int, default=0, help="label that the trigger stands for")


def _load(flag: str, path: str, data: Data, here: TrainingImages, chosen: Any) -> Loaded:
    return loading.load_model(flag, path, data, here, chosen)


def _has_forgotten(model: Loaded) -> bool:
    """A gold or the original in the unlearned model's place was trained, and forgot nothing."""
    return model.run is not None and "forgotten" in model.run.manifest


def _to_forget(chosen: Any, unlearned: Loaded) -> Any:
    """What ``--forget`` says, else what the run forgot."""
    known = [] if unlearned.run is None else unlearned.run.manifest.get("forgotten", [])
    if chosen.forget is None and not known:
        raise ValueError(
            "forget: expected the images that were to be forgotten; pass --forget, or the folder "
            "of a lotus unlearn run as --run"
        )
    return list(known) if chosen.forget is None else chosen.forget


def _original(chosen: Any, unlearned: Loaded, load: Any) -> nn.Module | None:
    """The model before: the one named, else where the run says that it began."""
    path = chosen.original
    if path is None and unlearned.run is not None:
        places = [unlearned.run.config.get("model"), str(unlearned.run.path / "original")]
        there = [p for p in places if isinstance(p, str) and (Path(p) / "manifest.json").is_file()]
        path = there[0] if there else None
        if path is not None:
            say(f"original: {path}")
    if path is None:
        return None
    original: Loaded = load("original", path)
    loading.require_original(original, unlearned, path)
    return original.model


def _golds(
    paths: Sequence[str], splits: Splits, here: TrainingImages, load: Any
) -> Bank | Sequence[nn.Module | Unlearned] | None:
    if not paths:
        return None
    if any((Path(path) / FACTS).is_file() for path in paths):
        if len(paths) > 1:
            raise ValueError(f"golds: expected one bank, or run folders, got {', '.join(paths)}")
        return read_bank(paths[0])
    none = [path for path in paths if not Path(path).exists()]
    if none:
        raise ValueError(
            f"golds: expected a bank made by lotus bank, or run folders of lotus train --without, "
            f"found nothing at {', '.join(map(repr, none))}"
        )
    found = []
    for path in paths:
        gold: Loaded = load("golds", path)
        loading.require_gold(gold, path, splits, here)
        found.append(gold.with_cost)
    return found


def _trigger(name: str, target: int) -> Trigger:
    return Trigger(imported(name, "trigger"), target)


def _write(path: Path, *, output: Output, splits: Splits, found: Audit) -> None:
    """The page, the figures beside it, and what is needed to make both again."""
    config = {k: _absolute(v) if k in _PATHS else v for k, v in output.config().items()}
    facts = {"outcome": found.outcome, **found.page["manifest"]}
    runs.write(
        path,
        config=config,
        manifest={**facts, **trained_on.listed("forgotten", splits.forget)},
        ids={LISTS["forget"]: splits.forget.official_ids},
    )
    found.to_json(path / "audit.json")
    found.to_html(path / "audit.html")


def _absolute(paths: Any) -> Any:
    if isinstance(paths, list):
        return [_absolute(path) for path in paths]
    return os.path.abspath(paths) if isinstance(paths, str) else paths
