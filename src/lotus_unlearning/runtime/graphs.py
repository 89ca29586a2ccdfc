"""Training passes replayed as CUDA graphs: the GPU never waits for a kernel to be started."""

import gc
import random
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lotus_unlearning.runtime.run import Runtime

Forward = Callable[..., Tensor]

WORTH_IT = 16
"""Passes of one kind before it is captured, which takes about as long as some dozens of them."""

MOST_GRAPHS = 3
"""Kinds of passes that are captured: each keeps the memory of a training step for good."""

ROOM = 2
"""Times the most memory that was needed so far: so much must be free, for the graph, which keeps
what it takes, and for a pass of another kind beside it."""

_OF_THE_MODE = "Synchronization debug mode"
"""Torch's warning that the mode does not find everything."""

NEAR = 1e-2
"""Of the norm of answers and gradients: how far a replay may be from the pass that was captured."""


class Graphs:
    """The forward and backward pass of one prepared model, captured where that is safe.

    Only for methods that are ``replayable`` (:class:`lotus_unlearning.unlearning.Method`), as those
    of the package are: ``p.grad`` is memory of the graph, which the next pass writes to.

    A pass is captured once it was seen :data:`WORTH_IT` times with the same shape of images, the
    same modes of the layers, the same trainable parameters, and blocks compiled or not. What is
    computed is what would be without: the same kernels in the same order. Left as they are: models
    that draw random numbers (dropout) or set an attribute of a layer, have hooks, or do what cannot
    be captured (look at a value on the CPU); a second pass before the gradients of the first were
    taken; images that need gradients themselves; images read from a disk, whose loader uses the GPU
    beside it; several processes. What a pass changes elsewhere, or within a list that a layer
    holds, is not noticed.
    """

    def __init__(self, model: nn.Module, forward: Forward, run: "Runtime") -> None:
        self._model, self._forward, self._run = model, forward, run
        self._seen: Counter[Any] = Counter()
        self._captured: dict[Any, Forward | None] = {}
        self._awaited = False

    def __call__(self, model: nn.Module, x: Tensor) -> Tensor:
        """Logits ``[B, C]`` with gradients."""
        if model is not self._model or not self._run.may_capture:
            return self._forward(model, x)
        alone = not self._awaited and not x.requires_grad
        self._awaited = True
        if not alone:
            return self._forward(model, x)
        kind = (*_kind(model, x), self._run.compiling.counts(len(x)))
        self._seen[kind] += 1
        if self._seen[kind] == WORTH_IT:
            return self._watched(model, x, kind)
        if self._seen[kind] > WORTH_IT and kind not in self._captured:
            self._captured[kind] = self._capture(model, x)
        replay = self._captured.get(kind)
        if replay is None:
            return self._forward(model, x)
        return replay(x, *model.parameters()).clone()  # the next replay writes where this one did

    def forget(self) -> None:
        """Give the memory of all graphs back."""
        if any(self._captured.values()):
            self._captured.clear()
            gc.collect()  # what torch makes of a graph refers to itself

    def gradients_taken(self) -> None:
        """What the last pass left for its backward pass is not needed any more."""
        self._awaited = False

    def _watched(self, model: nn.Module, x: Tensor, kind: Any) -> Tensor:
        """The pass as it is, never to be captured if another one may do something else."""
        random_numbers, attributes = _generators(x.device), _attributes(model)
        answers, waits = _forward_and_waits(self._forward, model, x)
        same = all(
            a is b or (isinstance(a, int | float | str) and a == b)
            for a, b in zip_longest(attributes, _attributes(model))
        )
        if waits or not same or _generators(x.device) != random_numbers:
            self._captured[kind] = None
        return answers

    def _capture(self, model: nn.Module, x: Tensor) -> Forward | None:
        """The pass as a graph; ``None`` if it should or can not be one."""
        graphs = sum(made is not None for made in self._captured.values())
        if graphs >= MOST_GRAPHS or not _has_memory(x.device):
            return None
        if _has_hooks(model) or _has_generators(model):
            return None
        if threading.current_thread() is not threading.main_thread():
            return None  # what others do on the GPU meanwhile would break the capture
        try:
            made = captured(of_parameters(model, self._forward), model, x)
            return made if _agree(self._forward, made, model, x) else None
        except (RuntimeError, UserWarning):  # out of memory, or what cannot be captured
            return None


def of_parameters(model: nn.Module, forward: Forward) -> Forward:
    """``forward`` of images and, behind them, the parameters of ``model`` in their order."""
    whole = _Pass(model, forward)
    names = [name for name, _ in whole.named_parameters()]

    def of(x: Tensor, *parameters: Tensor) -> Tensor:
        """Logits by parameters that are given."""
        named = dict(zip(names, parameters, strict=True))
        answers: Tensor = torch.func.functional_call(whole, named, (x,))
        return answers

    return of


class _Pass(nn.Module):
    """A model by another forward than its own."""

    def __init__(self, model: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.model, self._call = model, forward

    def forward(self, x: Tensor) -> Tensor:
        return self._call(self.model, x)


def captured(of: Forward, model: nn.Module, x: Tensor) -> Forward:
    """``of`` (images, parameters) and its gradients as a CUDA graph.

    Given the parameters by other names: what autograd still holds of the model's own belongs to
    another stream, which breaks a capture.

    Raises:
        RuntimeError: If it cannot be one.
        UserWarning: If nothing was captured.
    """
    own = [p.detach().requires_grad_(p.requires_grad) for p in model.parameters()]
    with _undone(model, x.device), torch.cuda.device(x.device), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")
        warnings.filterwarnings("error", message="The CUDA Graph is empty")
        stream = torch.cuda.current_stream()
        try:
            graph: Any = torch.cuda.make_graphed_callables(
                of, (x.clone(), *own), allow_unused_input=True
            )
        finally:
            torch.cuda.set_stream(stream)
    made: Forward = graph
    return made


def _agree(forward: Forward, replay: Forward, model: nn.Module, x: Tensor) -> bool:
    """Whether a replay answers what the model does, with the same gradients."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = []
    for replayed in (False, True):
        with _undone(model, x.device):
            z = replay(x, *model.parameters()) if replayed else forward(model, x)
            g = torch.autograd.grad(z.square().sum(), parameters, allow_unused=True)
        found.append([z.detach().clone(), *(None if v is None else v.clone() for v in g)])
    return all(map(_near, *found))


def _near(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return (a is None or not a.any()) and (b is None or not b.any())
    return bool((a - b).norm() <= NEAR * a.norm())


def _forward_and_waits(forward: Forward, model: nn.Module, x: Tensor) -> tuple[Tensor, bool]:
    """The answers, and whether the CPU looked at a value of the GPU on the way to them."""
    if x.device.type != "cuda":
        return forward(model, x), False
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            answers = forward(model, x)
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    waits = [w for w in said if "synchronizing CUDA operation" in str(w.message)]
    for warning in said:
        if warning not in waits and not str(warning.message).startswith(_OF_THE_MODE):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return answers, bool(waits)


@contextmanager
def _undone(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block buffers and random numbers move on; after it they are as before.

    The generator's state is another one meanwhile: a capture that fails leaves it unusable.
    """
    tensors = [v for v in _attributes(model) if isinstance(v, Tensor) and 0 not in v.stride()]
    before = [tensor.detach().clone() for tensor in tensors]
    generator = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else None
    if generator is not None:
        state = generator.graphsafe_get_state()
        generator.graphsafe_set_state(generator.clone_state())
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        if generator is not None:
            generator.graphsafe_set_state(state)


def _generators(device: torch.device) -> tuple[Any, ...]:
    """States of all random numbers that a pass may draw from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    numpy: Any = np.random.get_state(legacy=True)
    drawn = random.getstate(), numpy[1].tobytes(), numpy[2:]
    return *(state.numpy().tobytes() for state in states), *drawn


def _attributes(model: nn.Module) -> list[object]:
    """What the layers hold, buffers included: what a pass puts in the place of any is elsewhere."""
    found: list[object] = []
    for module in model.modules():
        found += vars(module).values()
        found += module._buffers.values()
    return found


def _kind(model: nn.Module, x: Tensor) -> tuple[Any, ...]:
    modes = tuple(module.training for module in model.modules())
    trained = tuple(parameter.requires_grad for parameter in model.parameters())
    return x.shape, x.dtype, modes, trained


def _has_memory(device: torch.device) -> bool:
    """Whether there is room for a graph and a pass beside it."""
    if device.type != "cuda":
        return True
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + cached
    return free > ROOM * torch.cuda.max_memory_allocated(device)


def _has_hooks(model: nn.Module) -> bool:
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    own = any(getattr(module, name) for module in model.modules() for name in names)
    return own or any(getattr(nn.modules.module, f"_global{name}") for name in names)


def _has_generators(model: nn.Module) -> bool:
    """Whether a layer draws its random numbers from a generator of its own."""
    kinds = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
    return any(isinstance(value, kinds) for value in _attributes(model))
