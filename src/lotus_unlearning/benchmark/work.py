"""One cell of a benchmark from its needs to its result: no files, no clock but the methods' own."""

import time
import warnings
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import torch
from torch import nn

import lotus_unlearning
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.cells import (
    Cell,
    Gold,
    Original,
    Reference,
    Setup,
    Unlearning,
    setup_of,
)
from lotus_unlearning.benchmark.contents import contents
from lotus_unlearning.benchmark.materials import (
    PARTS,
    Place,
    build,
    known,
    load,
    predict,
    splits_of,
    trained_model,
)
from lotus_unlearning.benchmark.measures import entropies, measure
from lotus_unlearning.datasets import Data
from lotus_unlearning.evaluation import describe
from lotus_unlearning.jobs.job import Files, FinalError, Made
from lotus_unlearning.jobs.packing import PREDICTIONS, WEIGHTS, packed, zipped
from lotus_unlearning.methods.settings import starting_from
from lotus_unlearning.runtime import (
    Runtime,
    choose_device,
    choose_precision,
    fingerprint,
)
from lotus_unlearning.runtime.hardware import machine
from lotus_unlearning.splits import Split, Splits
from lotus_unlearning.training import train
from lotus_unlearning.unlearning import Unlearned, unlearn


def run(cell: Cell, needs: Mapping[str, Files], place: Place) -> Made:
    """Run one cell.

    Args:
        cell: The cell to run.
        needs: The key of each of ``cell.needs`` -> its files.
        place: The device, and the folder of the data sets.

    Raises:
        FinalError: If the method of an :class:`Unlearning` cell cannot do it.
    """
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        made = _run(cell, needs, place)
    made.record["cell_seconds"] = time.perf_counter() - start
    setup = setup_of(cell)
    made.record["data"] = contents(setup.data, place.root)
    device = choose_device(place.device)
    made.record["on"] = made_on(device, choose_precision(setup.precision, device))
    if isinstance(cell, Reference | Unlearning):
        beside: tuple[Original | Gold, ...] = (cell.original, *cell.golds)
        made.record["against"] = [
            blake2b(needs[one.key][PREDICTIONS], digest_size=8).hexdigest() for one in beside
        ]
    said = [str(warning.message) for warning in caught if warning.category is UserWarning]
    if said:
        made.record["warnings"] = list(dict.fromkeys(said))
    return made


def _run(cell: Cell, needs: Mapping[str, Files], place: Place) -> Made:
    if isinstance(cell, Original):
        return _original(cell, place)
    if isinstance(cell, Gold):
        return _gold(cell, needs, place)
    if isinstance(cell, Reference):
        return _reference(cell, needs, place)
    return _unlearning(cell, needs, place)


def made_on(device: torch.device, precision: torch.dtype) -> dict[str, Any]:
    """What bits and times depend on besides the cell."""
    return {
        **machine(device, precision),
        "torch": torch.__version__,
        "lotus-unlearning": lotus_unlearning.__version__,
    }


def _original(cell: Original, place: Place) -> Made:
    data = load(cell.setup.data, place.root)
    images: Any = data.train
    if cell.half is not None:
        half = scenarios.halves(data.train.labels.numpy(), cell.seed)[cell.half]
        images = Split("train", data.train, torch.from_numpy(half))
    return _trained(cell.setup, cell.seed, images, data, place)


def _gold(cell: Gold, needs: Mapping[str, Files], place: Place) -> Made:
    data = load(cell.setup.data, place.root)
    splits = splits_of(cell.setup, cell.forget, needs, data, place)
    return _trained(cell.setup, cell.seed, splits.retain, data, place)


def _trained(setup: Setup, seed: int, images: object, data: Data, place: Place) -> Made:
    model = build(setup, data, seed, setup.pretrained)
    record: dict[str, Any] = {}
    if setup.recipe is not None:
        made = train(
            model,
            images,
            setup.recipe,
            held_out=data.unseen if setup.recipe.patience is not None else None,
            seed=seed,
            device=place.device,
            precision=setup.precision,
            progress=False,
        )
        model = made.model
        record = {"seconds": made.seconds, "peak_memory_bytes": made.peak_memory_bytes}
    logits = predict(model, data, place)
    labels = {part: getattr(data, part).labels.numpy() for part in PARTS}
    record["values"] = {
        f"{part}_accuracy": float((logits[part].argmax(1) == labels[part]).mean()) for part in PARTS
    }
    record["weights_sha256"] = fingerprint(model)
    return Made(record, {WEIGHTS: packed(model), PREDICTIONS: zipped(logits)})


def _reference(cell: Reference, needs: Mapping[str, Files], place: Place) -> Made:
    setup = cell.original.setup
    data = load(setup.data, place.root)
    splits = splits_of(setup, cell.forget, needs, data, place)
    original, golds = known(cell, needs)
    others = [golds[:i] + golds[i + 1 :] for i in range(len(golds))]
    record = {
        "values": measure(original, original, golds, splits),
        "entropies": entropies(original, splits),
        "golds": [
            {
                "values": measure(gold, original, rest, splits),
                "entropies": entropies(gold, splits),
            }
            for gold, rest in zip(golds, others, strict=True)
        ],
        "images": _sizes(splits),
    }
    return Made(record)


def _unlearning(cell: Unlearning, needs: Mapping[str, Files], place: Place) -> Made:
    setup = cell.original.setup
    data = load(setup.data, place.root)
    splits = splits_of(setup, cell.forget, needs, data, place)
    made = _unlearned(cell, trained_model(setup, data, needs[cell.original.key]), splits, place)
    original, golds = known(cell, needs)
    logits = predict(made.model, data, place)
    described = describe(cell.method)
    record = {
        "values": measure(logits, original, golds, splits),
        "entropies": entropies(logits, splits),
        "history": made.history,
        "seconds": made.seconds,
        "peak_memory_bytes": made.peak_memory_bytes,
        "method": {"name": described["name"], "settings": described["settings"]},
        "images": _sizes(splits),
    }
    return Made(record, {PREDICTIONS: zipped(logits)})


def _unlearned(cell: Unlearning, model: nn.Module, splits: Splits, place: Place) -> Unlearned:
    setup, device = cell.original.setup, choose_device(place.device)  # not the method's fault
    method = cell.method
    if setup.pretrained:
        data, seed = load(setup.data, place.root), Runtime(seed=cell.seed).draw_seed()
        method = starting_from(method, lambda: build(setup, data, seed, pretrained=True))
    try:
        return unlearn(
            model,
            splits,
            method,
            seed=cell.seed,
            batch_size=setup.batch_size,
            device=device,
            precision=setup.precision,
            progress=False,
        )
    except (ValueError, FloatingPointError) as error:
        raise FinalError(str(error)) from error


def _sizes(splits: Splits) -> dict[str, int]:
    parts = {name: getattr(splits, name) for name in ("forget", "retain", "unseen", "test")}
    return {name: len(part) for name, part in parts.items() if part is not None}
