"""bank(): train what is missing of a bank, wherever there is room, and survive being killed."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lotus_unlearning.audit.banks import Bank, open_bank
from lotus_unlearning.audit.groups import Group, make
from lotus_unlearning.audit.material import Material
from lotus_unlearning.audit.members import Chosen, Member, Wanted
from lotus_unlearning.audit.together import SIZE, fastest, obstacles
from lotus_unlearning.checks import require
from lotus_unlearning.jobs.executors import Executor, InProcesses, InThisProcess
from lotus_unlearning.jobs.job import Files, Made
from lotus_unlearning.jobs.on_ray import OnRay
from lotus_unlearning.jobs.packing import PREDICTIONS, WEIGHTS
from lotus_unlearning.jobs.schedule import Progress, run_all
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.runtime import Runtime, choose_device, choose_precision
from lotus_unlearning.splits import Splits

AtOnce = int | Literal["auto"]
Watcher = Callable[[Sequence[Member], int, int], None]
"""Told of members that are done, how many are done by now, and how many there will be."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where the models of a bank are trained.

    Attributes:
        device: As for :func:`lotus_unlearning.train`.
        at_once: Models trained at once in one process, as one network; ``"auto"``: 1 on a CPU,
            elsewhere 1 or 32, whichever is faster by a few timed steps.
        jobs: Processes on this machine.
        ray: Address of a Ray cluster.
        cpus: Cores of a group of models on the cluster.
        gpus: GPUs of a group of models on the cluster.
    """

    device: str = "auto"
    at_once: AtOnce = "auto"
    jobs: int = 1
    ray: str | None = None
    cpus: float = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        limits = {
            "jobs >= 1": self.jobs >= 1,
            "cpus >= 0": self.cpus >= 0,
            "gpus >= 0": self.gpus >= 0,
        }
        require(self, limits)


def bank(
    material: Material,
    splits: Splits,
    folder: str | Path,
    wanted: Wanted,
    *,
    keep_weights: bool = False,
    where: Where | None = None,
    watch: Watcher = lambda *_: None,
) -> Bank:
    """Train the models of a bank that are not there yet, and keep their predictions.

    Args:
        material: Images, architecture and recipe: :func:`of_model`, :func:`of_run`,
            :func:`of_setup`.
        splits: What is to be forgotten.
        folder: A new one, or a bank of the same material and images: what is in it stays.
        wanted: How many models.
        keep_weights: Keep the weights of golds, too, for probes of level 3.
        where: Device, processes, cluster.
        watch: Told of every model that is done.

    Returns:
        The bank, with the models that were there before and the new ones.

    Raises:
        ValueError: If the folder holds something else, or an option does not fit.

    >>> import tempfile
    >>> from torch import nn
    >>> from lotus_unlearning import Recipe
    >>> from lotus_unlearning.audit import of_model
    >>> splits = Splits.random("digits", fraction=0.1)
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> material = of_model(network, splits, Recipe(epochs=1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(bank(material, splits, folder, Wanted(golds=2)).members("gold"))
    2
    """
    where = where or Where()
    wanted.require(len(splits.forget))
    size = _at_once(material, where)
    made = open_bank(folder, material, Chosen.of(splits))
    members = list(wanted.members(made.facts["golds_made_of"], made.facts["shadows_made_of"]))
    missing = [m for m in members if not _is_there(m, made.store, keep_weights)]
    if not missing:
        return made
    labels = material.images["train"].labels.numpy()
    groups = _groups(missing, labels, made, size, keep_weights)
    done = len(members) - len(missing)

    def tell(_: Progress[Group], group: Group | None, found: Made | None) -> None:
        """Say which members are there now."""
        nonlocal done
        if group is not None and found is not None:
            done += len(group.members)
            watch(group.members, done, len(members))

    run_all(groups, GroupStore(made.store), _executor(material, where), tell)
    return made


def _is_there(member: Member, store: Store, weights: bool) -> bool:
    """With its predictions, and weights where these are wanted; a failure is an answer, too."""
    record = store.record(member)
    if record is None or "error" in record:
        return record is not None
    wanted = {PREDICTIONS, *([WEIGHTS] if weights and member.kind != "shadow" else [])}
    return wanted <= store.names(member)


def _at_once(material: Material, where: Where) -> int:
    if where.ray is not None and where.gpus:
        problems = obstacles(material, None)
        size = 1 if problems else SIZE
    else:
        device = choose_device(where.device)
        run = Runtime(device, choose_precision(material.precision, device), replays=True)
        problems = obstacles(material, run)
        timed = where.at_once == "auto" and where.ray is None
        size = fastest(material, run) if timed else 1
    if where.at_once == "auto":
        return size
    if where.at_once < 1 or (problems and where.at_once > 1):
        raise ValueError(
            f"at_once: expected 1 or more, and 1 where models cannot be trained together; got "
            f"{where.at_once}{', but ' + ', and '.join(problems) if problems else ''}"
        )
    return where.at_once


def _groups(
    members: Sequence[Member], labels: Any, made: Bank, size: int, keep_weights: bool
) -> list[Group]:
    """Members that are trained on equally many images, at most ``size`` in a group."""
    alike: dict[int, list[Member]] = {}
    for member in members:
        alike.setdefault(len(member.trained_on(labels, made.chosen)), []).append(member)
    return [
        Group(tuple(same[first : first + size]), made.chosen, keep_weights)
        for same in alike.values()
        for first in range(0, len(same), size)
    ]


def _executor(material: Material, where: Where) -> Executor[Group]:
    work = partial(make, material=material, device=where.device)
    if where.ray is not None:
        models = "group of models"
        return OnRay(where.ray, work, cpus=where.cpus, gpus=where.gpus, called=models)
    if where.jobs > 1:
        return InProcesses(where.jobs, work)
    return InThisProcess(work)


@dataclass(frozen=True)
class GroupStore:
    """Groups in the store of a bank, where each member has files of its own.

    Attributes:
        members: The store.
    """

    members: Store

    def record(self, group: Group) -> dict[str, Any] | None:
        """Nothing more than that all are there: another run may have made some meanwhile."""
        there = (_is_there(member, self.members, group.keep_weights) for member in group.members)
        return {} if all(there) else None

    def files(self, group: Group) -> Files:
        """No other group needs any."""
        return {}

    def has_files(self, group: Group) -> bool:
        """Whether all are there."""
        return self.record(group) is not None

    def save(self, group: Group, made: Made, *, files: bool) -> None:
        """Keep each member, complete or not at all."""
        for member in group.members:
            record = made.record["members"][member.key]
            if "error" in record:
                self.members.save_failure(member, record["error"], final=True)
                continue
            mine = f"{member.key}/"
            found = {n.removeprefix(mine): v for n, v in made.files.items() if n.startswith(mine)}
            self.members.save(member, Made(record, found), files=files)

    def save_failure(self, group: Group, error: str, *, final: bool) -> None:
        """Why none of them could be trained."""
        for member in group.members:
            self.members.save_failure(member, error, final=final)

    def failure(self, group: Group) -> str | None:
        """Why the first of those that failed could not be trained."""
        return next(filter(None, map(self.members.failure, group.members)), None)

    def forget_failure(self, group: Group) -> None:
        """They are tried again now."""
        for member in group.members:
            self.members.forget_failure(member)

    def claim(self, group: Group) -> ExitStack | None:
        """By the first of its members."""
        return self.members.claim(group.members[0])
