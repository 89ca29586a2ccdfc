"""Models that are trained in one go, from their material to their predictions: no files."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import nn

from lotus_unlearning.audit.gradients import spread
from lotus_unlearning.audit.material import Material
from lotus_unlearning.audit.members import Chosen, Member
from lotus_unlearning.audit.together import fit_together
from lotus_unlearning.benchmark.work import made_on
from lotus_unlearning.jobs.job import Files, Made
from lotus_unlearning.jobs.packing import PREDICTIONS, WEIGHTS, packed, zipped
from lotus_unlearning.runtime import (
    Runtime,
    choose_device,
    choose_precision,
    fingerprint,
)
from lotus_unlearning.splits import Split
from lotus_unlearning.training import train


@dataclass(frozen=True, eq=False)
class Group:
    """Members trained together: a job, see :mod:`lotus_unlearning.jobs.job`.

    Attributes:
        members: Trained on equally many images.
        chosen: What golds do not see.
        keep_weights: Whether the weights are wanted, too.
    """

    keeps_files: ClassVar[bool] = True
    fails_for_good: ClassVar[bool] = False
    members: tuple[Member, ...]
    chosen: Chosen
    keep_weights: bool

    @property
    def needs(self) -> tuple["Group", ...]:
        """Nothing."""
        return ()

    @property
    def key(self) -> str:
        """Of its first member."""
        return self.members[0].key


def make(group: Group, needs: Mapping[str, Files], *, material: Material, device: str) -> Made:
    """Train the members of a group and let them predict.

    Args:
        group: Which.
        needs: Nothing.
        material: What they are made of.
        device: As for :func:`lotus_unlearning.train`.

    Returns:
        ``record["members"]``: key -> record of a member, or its ``error``; ``files``:
        ``"key/name"`` -> contents.
    """
    start = time.perf_counter()
    place = choose_device(device)
    run = Runtime(place, choose_precision(material.precision, place), material.recipe.batch_size)
    source = material.images["train"]
    labels = source.labels.numpy()
    parts = [
        Split("train", source, torch.from_numpy(member.trained_on(labels, group.chosen)))
        for member in group.members
    ]
    trained = _trained(group.members, parts, material, run)
    seconds = (time.perf_counter() - start) / len(group.members)
    made = Made({"members": {}})
    for member, model in zip(group.members, trained, strict=True):
        if isinstance(model, FloatingPointError):
            made.record["members"][member.key] = {"error": f"{model}"}
            continue
        facts = {
            "seconds": seconds,
            "at_once": len(group.members),
            "on": made_on(run.device, run.precision),
        }
        record, files = _predicted(member, model, material, group, run.device)
        made.record["members"][member.key] = record | facts
        made.files.update({f"{member.key}/{name}": text for name, text in files.items()})
    made.record["cell_seconds"] = time.perf_counter() - start
    return made


def _trained(
    members: Sequence[Member], parts: Sequence[Split], material: Material, run: Runtime
) -> list[nn.Module | FloatingPointError]:
    """The models, or why there is none."""
    starts = [material.fresh(member.seed) for member in members]
    if len(members) == 1:
        return [_alone(starts[0], parts[0], members[0].seed, material, run)]
    seeds = [member.seed for member in members]
    models = fit_together(starts, parts, material.recipe, run, seeds)
    return [model if _is_finite(model) else _diverged() for model in models]


def _alone(
    start: nn.Module, part: Split, seed: int, material: Material, run: Runtime
) -> nn.Module | FloatingPointError:
    held_out = material.images.get("unseen") if material.recipe.patience is not None else None
    try:
        made = train(
            start,
            part,
            material.recipe,
            held_out=None if held_out is None else _whole("unseen", held_out),
            seed=seed,
            device=run.device,
            precision=material.precision,
            progress=False,
        )
    except FloatingPointError as error:
        return error
    return made.model


def _is_finite(model: nn.Module) -> bool:
    values = [v for v in model.state_dict().values() if v.is_floating_point()]
    return all(bool(torch.isfinite(v).all()) for v in values)


def _diverged() -> FloatingPointError:
    return FloatingPointError("a weight is NaN or infinite after the last step")


def _whole(name: str, source: Any) -> Split:
    return Split(name, source, torch.arange(len(source)))


def _predicted(
    member: Member, model: nn.Module, material: Material, group: Group, device: torch.device
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What is kept of a model: its accuracies, and files."""
    arrays: dict[str, NDArray[Any]] = {}
    values = {}
    run = Runtime(device)
    with run.prepared(copy.deepcopy(model).float()) as ready:
        for part, source in material.images.items():
            logits = run.predict(ready, _whole(part, source)).float().cpu()
            arrays[part] = logits.numpy()
            values[f"{part}_accuracy"] = (logits.argmax(1) == source.labels).double().mean().item()
        record = {"values": values, "weights_sha256": fingerprint(model)}
        if member.kind != "shadow":
            try:
                arrays |= _gradients(ready, material, group, run)
            except ValueError as error:
                record["no_gradients"] = f"{error}"
    files = {PREDICTIONS: zipped(arrays, compressed=True)}
    if group.keep_weights and member.kind != "shadow":
        files[WEIGHTS] = packed(model)
    return record, files


def _gradients(
    model: nn.Module, material: Material, group: Group, run: Runtime
) -> dict[str, NDArray[Any]]:
    """Gradient norms of some of the images that an audit compares."""
    forget = Split("forget", material.images["train"], torch.tensor(group.chosen.forget))
    found: dict[str, NDArray[Any]] = {"gradient_train": spread(forget, model, run)}
    if "unseen" in material.images:
        found["gradient_unseen"] = spread(_whole("unseen", material.images["unseen"]), model, run)
    return found
