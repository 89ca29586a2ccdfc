"""``lotus bank``: many models trained alike, to compare an unlearned one with."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jsonargparse import ArgumentParser
from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.audit import Bank, Member, Wanted, Where, bank, of_setup
from lotus_unlearning.audit.material import setup_of_run
from lotus_unlearning.audit.members import KINDS
from lotus_unlearning.benchmark.cells import Setup
from lotus_unlearning.benchmark.grid import block_named
from lotus_unlearning.benchmark.materials import load
from lotus_unlearning.cli import choosing, loading, options, parsing
from lotus_unlearning.cli.loading import Loaded
from lotus_unlearning.cli.options import say, show
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.datasets import Data
from lotus_unlearning.jobs.pace import Pace
from lotus_unlearning.report.page import percent, seconds
from lotus_unlearning.splits import Splits

_EXAMPLES = """
lotus bank --model runs/original --forget ids.txt --golds 16 --out banks/request-17
lotus bank --model runs/unlearned --golds 16 --out banks/request-17   # what that run forgot
lotus bank --block digits --golds 64 --shadows 64 --put_back 1 2 5 10 20 40 80 --out banks/digits
lotus bank --block digits --golds 8 --keep weights --jobs 2 --out banks/small
"""


def main(words: list[str]) -> int:
    """Train what is missing; the same command goes on where it stopped.

    Returns:
        1 if a model could not be trained, else 0.
    """
    parser = parsing.parser("bank", "Train golds and shadows, and keep what they say.", _EXAMPLES)
    source = "data, architecture and recipe of its original; lotus train, unlearn or demo made it"
    parser.add_argument("--model", type=str | None, default=None, help=f"run folder: {source}")
    parser.add_argument("--block", type=str | None, default=None, help="of the benchmark, by name")
    options.add_forget(parser, "--forget", None, "what golds never see")
    _add_wanted(parser)
    _add_where(parser)
    chosen = parsing.parse(parser, words)
    setup, root = _setup(chosen)
    material = of_setup(setup, root)
    splits = _splits(chosen, load(setup.data, root))
    wanted = Wanted(
        golds=chosen.golds,
        shadows=chosen.shadows,
        put_back=tuple(chosen.put_back),
        repeats=chosen.repeats,
    )
    say(f"{setup.data.name}, {setup.model}: {len(splits.forget):,} images are to be forgotten")
    made = bank(
        material,
        splits,
        chosen.out,
        wanted,
        keep_weights=chosen.keep == "weights",
        where=_where(chosen),
        watch=_Lines().watch,
    )
    return _summary(made)


def _setup(chosen: Any) -> tuple[Setup, str | None]:
    """Data, architecture and recipe, and the folder of the data sets."""
    if (chosen.model is None) == (chosen.block is None):
        raise ValueError("bank: expected either --model RUN or --block NAME")
    if chosen.block is not None:
        return block_named(chosen.block).setup, chosen.root
    setup, root = setup_of_run(chosen.model)
    return setup, chosen.root or root


def _splits(chosen: Any, data: Data) -> Splits:
    """What ``--forget`` says, else what the run forgot; a block's is a tenth, as in its tables."""
    run = None if chosen.model is None else runs.read(chosen.model)
    forget = chosen.forget
    if forget is None:
        forget = "0.1" if run is None else list(run.manifest.get("forgotten", ()))
    if not forget:
        raise ValueError("forget: expected what golds never see; pass --forget FILE, 0.1, ...")
    splits = choosing.choose(data, forget, chosen.forget_seed, chosen.on_overlap)
    if run is None:
        return splits
    loaded = Loaded(nn.Identity(), run.architecture, run)
    here = TrainingImages.of(data)
    return loading.without_gone(
        loaded, chosen.model, splits, here, ("forgotten_before", "left_out")
    )


def _add_wanted(made: ArgumentParser) -> None:
    made.add_argument("--out", type=str, required=True, help="folder of the bank, new or begun")
    made.add_argument("--golds", type=int, default=16, help="models without the images to forget")
    made.add_argument("--shadows", type=int, default=0, help="models on random halves; even")
    made.add_argument(
        "--put_back",
        type=int,
        nargs="*",
        default=[],
        help="golds with so many of the images put back: to see from how many on that is noticed",
    )
    made.add_argument("--repeats", type=int, default=2, help="models for each number put back")
    made.add_argument(
        "--keep",
        type=Literal["predictions", "weights"],
        default="predictions",
        help="weights: keep those of golds, too; probes of level 3 need them",
    )


def _add_where(made: ArgumentParser) -> None:
    made.add_argument(
        "--at_once",
        type=int | Literal["auto"],
        default="auto",
        help="models trained as one network; auto: what is faster, which on a CPU is 1",
    )
    made.add_argument("--jobs", type=int, default=1, help="processes on this machine")
    made.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1, ...")
    made.add_argument("--root", type=str | None, default=None, help="folder of the data sets")
    made.add_argument("--ray", type=str | None, default=None, help="address of a Ray cluster")
    made.add_argument("--cpus", type=float, default=1, help="cores of a task on the cluster")
    made.add_argument("--gpus", type=float, default=0, help="GPUs of a task on the cluster")


def _where(chosen: Any) -> Where:
    return Where(
        device=chosen.device,
        at_once=chosen.at_once,
        jobs=chosen.jobs,
        ray=chosen.ray,
        cpus=chosen.cpus,
        gpus=chosen.gpus,
    )


class _Lines:
    """A line for each model: how many are done and left, and for how long."""

    def __init__(self) -> None:
        self._pace = Pace()

    def watch(self, members: Sequence[Member], done: int, total: int) -> None:
        """Told of models that are done."""
        rest = self._pace.rest(total - done, done=len(members))
        names = members[0].title + (f" to {members[-1].title}" if len(members) > 1 else "")
        left = f", about {seconds(rest)} left" if done < total else ""
        say(f"{done} of {total} done{left}: {names}")


def _summary(made: Bank) -> int:
    for kind in KINDS:
        members = made.members(kind)
        if members:
            values = [made.record(member)["values"] for member in members]
            means = {name: float(np.mean([v[name] for v in values])) for name in values[0]}
            words = ", ".join(
                f"{n.removesuffix('_accuracy')} {percent(v)}" for n, v in means.items()
            )
            show(f"{len(members)} {kind} models; mean accuracies: {words}")
    failed = made.failed()
    for member, error in failed.items():
        say(f"failed: {member.title}: {error.strip().splitlines()[-1]}")
    say(f"bank: {made.folder}")
    return 1 if failed else 0
