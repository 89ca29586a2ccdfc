"""Many small networks trained at once in one process: weights stacked, one step for all.

Each network sees the batches that it would see alone, in the order that its own seed draws, and
has its own optimizer state: what comes out is what :func:`lotus_unlearning.train` gives for the
same seed, up to the order in which floats are added. BatchNorm computes with the statistics of each
network's own batch; its running statistics are stacked, too, and updated by every step, so that
there is nothing to recalibrate.

Worth it where starting an operation takes longer than doing it: small networks on a GPU. On a CPU
the stacked convolutions are slower than one network after another; see benchmarks/bank_speed.py.
"""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from lotus_unlearning.audit.material import Material
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.runtime import Runtime, cut, graphs
from lotus_unlearning.runtime.seeds import seeded, synchronize
from lotus_unlearning.splits import Split
from lotus_unlearning.training import Recipe, optimizer_of, rate_of
from lotus_unlearning.views import moved, random_shifts

SIZE = 32
"""Networks at once where that is faster."""
_PROBED = 8
_STEPS = 3


def obstacles(material: Material, run: Runtime | None) -> list[str]:
    """Why its models cannot be trained at once; empty if they can.

    Args:
        material: Images and recipe.
        run: Device and precision; ``None``: a GPU of another machine.
    """
    found = []
    if material.recipe.patience is not None:
        found.append("its recipe has patience, with which each model stops at its own epoch")
    if not isinstance(material.images["train"], ImageTensors):
        found.append("its images are read one by one")
    if run is not None and run.precision is torch.bfloat16 and run.device.type == "cpu":
        found.append("it computes in bfloat16 on a CPU")
    return found


def fit_together(
    starts: Sequence[nn.Module],
    parts: Sequence[Split],
    recipe: Recipe,
    run: Runtime,
    seeds: Sequence[int],
) -> list[nn.Module]:
    """Train copies of ``starts``, each on its own part, as one network.

    Args:
        starts: M models of one architecture.
        parts: What each is trained on, equally many images of one source.
        recipe: Without patience.
        run: Device and precision.
        seeds: Of the order of images of each.

    Returns:
        The trained copies, in evaluation mode.

    Raises:
        ValueError: If parts differ in size.
    """
    if len({len(part) for part in parts}) != 1:
        sizes = [len(part) for part in parts]
        raise ValueError(f"parts: expected equally many images in each, got {sizes}")
    wide = torch.float64 if run.precision is torch.float64 else torch.float32
    learners = [copy.deepcopy(m).to(run.device, wide).requires_grad_(True).train() for m in starts]
    stack = _Stack(learners, run)
    optimizer = optimizer_of(stack.weights, recipe)
    steps = cut.count(len(parts[0]), recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_of(recipe, steps))
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    with seeded(seeds[0], run.device):
        for _ in range(recipe.epochs):
            for ids in _epoch(parts, draws, recipe.batch_size):
                x, y, _ = next(run.batches(ids, len(ids), shuffle=False))
                if recipe.shift or recipe.flip:
                    x = _shifted(x, recipe, draws)
                run.backward(stack.weights.parameters(), stack.loss(x, y))
                optimizer.step()
                schedule.step()
    return stack.unstacked()


def _epoch(parts: Sequence[Split], draws: Sequence[torch.Generator], size: int) -> "list[Split]":
    """The batches of an epoch: those of all networks behind each other, ``[M * B]`` images."""
    orders = [torch.randperm(len(p), generator=d) for p, d in zip(parts, draws, strict=True)]
    ids = [
        [part.ids[chunk] for chunk in cut.batches(order, size)]
        for part, order in zip(parts, orders, strict=True)
    ]
    return [Split("train", parts[0].source, torch.cat(step)) for step in zip(*ids, strict=True)]


def _shifted(x: Tensor, recipe: Recipe, draws: Sequence[torch.Generator]) -> Tensor:
    """Each network's images moved as its own generator says."""
    size = len(x) // len(draws), x.shape[-2], x.shape[-1]
    places = [random_shifts(size, recipe.shift, recipe.flip, draw) for draw in draws]
    rows, columns = (torch.cat(part) for part in zip(*places, strict=True))
    return moved(x, (rows, columns))


class _Stack:
    """Networks of one architecture, their weights and buffers stacked.

    Attributes:
        weights: A module that holds the stacked weights, for an optimizer.
    """

    def __init__(self, models: Sequence[nn.Module], run: Runtime) -> None:
        self._models = models
        stacked, self._buffers = stack_module_state(list(models))
        self._names = list(stacked)
        self.weights = nn.ParameterList(stacked.values())
        template = copy.deepcopy(models[0]).to("meta")
        half = run.precision is torch.bfloat16
        self._autocast = torch.autocast(run.device.type, torch.bfloat16) if half else nullcontext()

        def answer(weights: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(template, (weights, buffers), (x,))  # type: ignore[no-any-return]

        self._answer: Callable[..., Tensor] = torch.vmap(answer, randomness="different")

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Sum over networks of the mean loss of each on its part of ``x`` ``[M * B, ...]``."""
        count = len(self._models)
        weights = dict(zip(self._names, self.weights, strict=True))
        with self._autocast:
            logits = self._answer(weights, self._buffers, x.view(count, -1, *x.shape[1:]))
        wide = logits if logits.dtype is torch.float64 else logits.float()
        losses = F.cross_entropy(wide.flatten(0, 1), y, reduction="none")
        return losses.view(count, -1).mean(dim=1).sum()

    @torch.no_grad()
    def unstacked(self) -> list[nn.Module]:
        """The networks again, each with its own weights, in evaluation mode."""
        for i, model in enumerate(self._models):
            for name, value in zip(self._names, self.weights, strict=True):
                model.get_parameter(name).copy_(value[i])
            for name, value in self._buffers.items():
                model.get_buffer(name).copy_(value[i])
            model.eval()
        return list(self._models)


def fastest(material: Material, run: Runtime) -> int:
    """How many models at once: 1 on a CPU, which was measured; elsewhere as timed steps say."""
    if run.device.type == "cpu" or obstacles(material, run):
        return 1
    source, recipe = material.images["train"], material.recipe
    some = Split("train", source, torch.arange(min(recipe.batch_size, len(source))))
    starts = [material.fresh(seed).to(run.device).train() for seed in range(_PROBED)]
    with run.prepared(copy.deepcopy(starts[0])) as model:
        alone = _seconds(_step_alone(model, some, recipe, run), run)
    together = _seconds(_step_together(starts, some, recipe, run), run)
    return SIZE if together < _PROBED * alone else 1


def _step_alone(model: nn.Module, some: Split, recipe: Recipe, run: Runtime) -> Callable[[], None]:
    x, y, _ = next(run.batches(some, len(some), shuffle=False))
    optimizer = optimizer_of(model, recipe)

    def step() -> None:
        run.step(optimizer, F.cross_entropy(model(x), y))

    return step


def _step_together(
    models: Sequence[nn.Module], some: Split, recipe: Recipe, run: Runtime
) -> Callable[[], None]:
    stack = _Stack(models, run)
    ids = Split("train", some.source, some.ids.repeat(len(models)))
    x, y, _ = next(run.batches(ids, len(ids), shuffle=False))
    optimizer = optimizer_of(stack.weights, recipe)

    def step() -> None:
        run.backward(stack.weights.parameters(), stack.loss(x, y))
        optimizer.step()

    return step


def _seconds(step: Callable[[], None], run: Runtime) -> float:
    """Of some steps; the first ones, which are slower, are not counted."""
    for _ in range(graphs.WORTH_IT + 2):
        step()
    synchronize(run.device)
    start = time.perf_counter()
    for _ in range(_STEPS):
        step()
    synchronize(run.device)
    return time.perf_counter() - start
