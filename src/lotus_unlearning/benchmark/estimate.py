"""How long will it take? From finished cells of the same kind, or from counted work."""

import statistics
import time
from collections.abc import Callable, Collection, Iterable
from functools import cache, partial

import torch
import torch.nn.functional as F

from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.cells import (
    Cell,
    Gold,
    Original,
    Setup,
    Unlearning,
    setup_of,
)
from lotus_unlearning.benchmark.materials import Place, build, load
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.methods import Finetune
from lotus_unlearning.methods.form import Passes, Sizes, passes
from lotus_unlearning.runtime import Runtime, choose_device, choose_precision, graphs
from lotus_unlearning.splits import Split
from lotus_unlearning.unlearning import Method

_PROBED = 64
_REPEATS = 3
_DEAR = 0.1
_ENOUGH = 0.5
"""Seconds: of the prediction of an image that costs much, and of what is worth timing."""


def estimates(
    todo: Iterable[Cell],
    known: Iterable[Cell],
    store: Store,
    place: Place | None,
    later: Collection[str] = (),
) -> dict[Cell, float]:
    """Seconds of each cell that is to be run, as far as they can be told.

    A cell takes as long as finished ones that differ in seeds alone; where there is none, as long
    as the images that it sends through the model take, by a few timed steps.

    Args:
        todo: The cells that are to be run.
        known: Cells that may be finished, to estimate from.
        store: The store with the finished cells.
        place: The device, and the folder of the data sets; ``None``: cells will run on other
            machines, so that nothing is timed here.
        later: The names of data sets that are not there yet, on which nothing can be timed.
    """
    taken: dict[object, list[float]] = {}
    for cell in known:
        record = store.record(cell)
        if record is not None and "cell_seconds" in record:
            taken.setdefault(_alike(cell), []).append(record["cell_seconds"])
    medians = {kind: statistics.median(values) for kind, values in taken.items()}
    found = {cell: medians.get(_alike(cell)) for cell in todo}
    if place is not None:
        untimed = (c for c, taken in found.items() if taken is None)
        here = [c for c in untimed if setup_of(c).data.name not in later]
        found |= {cell: _counted(cell, place) for cell in here}
    return {cell: taken for cell, taken in found.items() if taken is not None}


def _alike(cell: Cell) -> object:
    """What cells have in common that differ in seeds alone."""
    if isinstance(cell, Unlearning):
        return (cell.original.setup, cell.forget.kind, cell.forget.fraction, cell.method)
    if isinstance(cell, Gold):
        return (cell.setup, cell.forget.kind, cell.forget.fraction)
    if isinstance(cell, Original):
        return (cell.setup, cell.half is not None)
    return (type(cell), cell.original.setup, len(cell.golds))


def _counted(cell: Cell, place: Place) -> float:
    setup = setup_of(cell)
    data = load(setup.data, place.root)
    whole = len(data.train) + len(data.unseen) + len(data.test)
    training, forward = _seconds_per_image(setup, place)
    work = Passes(0, whole)
    if isinstance(cell, Original | Gold):
        epochs = 0 if setup.recipe is None else setup.recipe.epochs
        share = 0.5 if isinstance(cell, Original) and cell.half is not None else 1.0
        work = Passes(epochs * share * len(data.train), whole)
    elif isinstance(cell, Unlearning):
        done = _passes(cell.method, _sizes(cell, place))
        work = Passes(done.training, done.forward + whole)
    return work.training * training + work.forward * forward


def _passes(method: Method, n: Sizes) -> Passes:
    """Of a method that does not say, those of fine-tuning for as many epochs."""
    if hasattr(method, "work"):
        return passes(method, n)
    epochs = getattr(method, "epochs", Finetune().epochs)
    return Passes(epochs * (n.forget + n.retain), n.forget + n.retain)


def _sizes(cell: Unlearning, place: Place) -> Sizes:
    data = load(cell.original.setup.data, place.root)
    if cell.forget.kind == "class":
        forget = int((data.train.labels == scenarios.label(cell.forget, data)).sum())
        return Sizes(forget, len(data.train) - forget, len(data.unseen), 1, shared=False)
    forget = round(cell.forget.fraction * len(data.train))
    return Sizes(forget, len(data.train) - forget, len(data.unseen), len(data.classes))


@cache
def _seconds_per_image(setup: Setup, place: Place) -> tuple[float, float]:
    """Of a training step and of a prediction, in evaluation precision.

    So many images are taken as cost little together: a call has a cost of its own, which is large
    on a busy machine. Where an image costs much, as with a large model on a CPU, no step is made:
    forward and backward take three times as long as forward.
    """
    data, device = load(setup.data, place.root), choose_device(place.device)
    run = Runtime(device, choose_precision(setup.precision, device), replays=True)
    with run.prepared(build(setup, data, 0, pretrained=False)) as model:
        count, taken = 1, 0.0
        while count < min(_PROBED, len(data.train)) and taken < _ENOUGH:
            count = min(2 * count, _PROBED, len(data.train))
            some = Split("train", data.train, torch.arange(count))
            look = partial(run.predict, model, some)
            look()
            taken = _timed(look)
        forward = taken / count
        if forward > _DEAR:
            return 3 * forward, forward
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

        def step() -> None:
            x, y, _ = next(run.batches(some, count))
            run.step(optimizer, F.cross_entropy(model(x), y))

        for _ in range(graphs.WORTH_IT + 2 if run.may_capture else 1):
            step()
        return _timed(step) / count, forward


def _timed(action: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < _REPEATS and sum(times) < _ENOUGH:
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
