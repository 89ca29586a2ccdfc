"""Models in shards: each process has a part of the weights, their gradients and optimizer state.

By torch's ``fully_shard`` (FSDP2): parameters are ``DTensor``, cut along their first dimension. A
layer's weights are gathered when it is computed, and gone after it. What needs all weights at once
(copies, fresh initialisations, fingerprints) goes by a plain copy of the model on the host.
"""

import copy
import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

    from lotus_unlearning.runtime.processes import Processes

UNITS = 8
"""What is gathered at once has at most the UNITS-th part of all weights, unless it is one layer."""

SMALLEST = 1 << 16
"""Weights that are gathered on their own: of fewer, it takes longer than the memory is worth."""

_HOST = "plain copy on the host"
_RULES = ("DTensor", "sharding strategy", "FSDP")
"""In messages of torch about what it cannot compute of shards."""
_COLLECTIVES = ("gloo", "nccl")
"""In messages about the connection: a data set that waits in vain for others names neither."""
_SHOWN = 300


@contextmanager
def sharded(model: nn.Module, device: torch.device, processes: "Processes") -> Iterator[nn.Module]:
    """A twin of ``model`` in shards on the device; when the block is complete, ``model`` is equal.

    Args:
        model: On the CPU, where it stays.
        device: Of the shards.
        processes: That have a shard each.

    Raises:
        ValueError: If the model cannot be cut, or what the block does cannot be done with shards.
        ConnectionError: If one of the processes is gone.
    """
    _require_parts(model)
    if device.type == "cuda":
        gc.collect()  # twins before this one, whose parts refer to each other
    with processes.in_touch():
        twin = _twin(model, device, processes.count)
    try:
        yield twin
    except RuntimeError as error:
        if any(word in str(error).lower() for word in _COLLECTIVES):
            with processes.in_touch():
                raise
        if not any(word in str(error) for word in _RULES):
            raise
        what = " ".join(str(error).split())[:_SHOWN]
        raise ValueError(
            "shard: expected layers that read no weights but their own, and a method that "
            f"computes with them as those of the package do, but PyTorch says: {what}; leave "
            "shard out"
        ) from error
    with processes.in_touch():
        copy_values(twin, model)


def _require_parts(model: nn.Module) -> None:
    named = list(model.named_parameters(remove_duplicate=False))
    uses = Counter(id(parameter) for _, parameter in named)
    problems = {
        "without parameters of a single number (shape [])": [n for n, p in named if p.dim() == 0],
        "whose layers share no parameters": [n for n, p in named if uses[id(p)] > 1],
    }
    for expected, names in problems.items():
        if names:
            raise ValueError(
                f"shard: expected a model {expected}, got {', '.join(names[:5])}; leave shard out"
            )


def _twin(model: nn.Module, device: torch.device, count: int) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    twin, mesh = copy.deepcopy(model), init_device_mesh(device.type, (count,))
    for parameter in twin.parameters():
        parameter.data = parameter.data.contiguous()
    for unit in [*units(twin), twin]:
        unit.register_forward_hook(_of_its_own)
        # of the model, too: else an optimizer would get weights that are gone after its first step
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    vars(twin)[_HOST] = model  # past nn.Module, to which it would be a layer
    return twin


def _of_its_own(_: nn.Module, __: object, output: object) -> object:
    """Copies of views: changed in place by the next layer, they would lose the call for weights."""
    return tree_map_only(Tensor, lambda y: y.clone() if y._is_view() else y, output)


def units(model: nn.Module) -> list[nn.Module]:
    """Layers, or blocks of them, whose weights are gathered together.

    What is left is gathered for the whole of a pass.
    """
    most = sum(p.numel() for p in model.parameters()) / UNITS
    return list(_units(model, most))


def _units(module: nn.Module, most: float) -> Iterator[nn.Module]:
    for child in module.children():
        size = sum(p.numel() for p in child.parameters())
        called = type(child).forward is not nn.Module.forward  # a list of layers is not
        # attention reads the weights of a layer within, which it never calls
        single = isinstance(child, nn.MultiheadAttention) or not any(child.children())
        if called and size >= SMALLEST and (size <= most or single):
            yield child
        elif size >= SMALLEST:
            yield from _units(child, most)


def in_shards(value: Tensor) -> "TypeGuard[DTensor]":
    """Whether ``value`` is one of which each process has a part."""
    if type(value) in (Tensor, nn.Parameter):
        return False  # without the second that the import takes
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def local(value: Tensor) -> Tensor:
    """The part of ``value`` that this process has; all of it where it is not in shards."""
    return value.to_local() if in_shards(value) else value


def whole(value: Tensor) -> Tensor:
    """``value`` from the parts of all processes."""
    return value.full_tensor() if in_shards(value) else value


def summed(of: Callable[[Tensor], Tensor], values: Iterable[Tensor]) -> Tensor:
    """The sum of what ``of``, a sum ``[]`` itself, makes of each of ``values``, in shards or not.

    In shards, gradients go to the part that each process has.

    >>> summed(torch.sum, [torch.ones(2), torch.ones(3)])
    tensor(5.)
    """
    values = list(values)
    mine = torch.stack([of(local(value)) for value in values]).sum()
    if not in_shards(values[0]):
        return mine
    each, _ = of_each(mine.detach(), values[0])
    return mine + (each.sum() - mine.detach())


def like(parameter: Tensor, value: Tensor) -> Tensor:
    """``value`` in shards where ``parameter`` is, else whole."""
    if not in_shards(parameter):
        return whole(value)
    if in_shards(value):
        return value
    from torch.distributed.tensor import DTensor, Shard

    mesh, value = parameter.device_mesh, value.detach().contiguous()
    parts, rank = value.chunk(mesh.size()), mesh.get_local_rank()
    part = parts[rank] if rank < len(parts) else value[:0]
    return DTensor.from_local(
        part.to(parameter.device, copy=True),
        mesh,
        [Shard(0)],
        run_check=False,
        shape=value.shape,
        stride=value.stride(),
    )


def like_those_of(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` as a state dict of ``model`` would be: in shards where that is."""
    own = model.state_dict()
    return {k: like(own[k], v) if k in own and in_shards(own[k]) else v for k, v in state.items()}


def plain(model: nn.Module) -> nn.Module:
    """``model``; of one in shards the copy on the host, with the weights of now."""
    host: nn.Module | None = vars(model).get(_HOST)
    if host is None:
        return model
    copy_values(model, host)
    return host


@torch.no_grad()
def copy_values(source: nn.Module, model: nn.Module) -> None:
    """All parameters and buffers, also those that are in no state dict, in shards or not."""
    for name in ("parameters", "buffers"):
        for value, found in zip(getattr(model, name)(), getattr(source, name)(), strict=True):
            value.copy_(like(value, found))


def of_each(value: Tensor, shard: Tensor) -> tuple[Tensor, int]:
    """``value`` ``[...]`` of each process that has a part of ``shard``: ``[P, ...]``.

    And the place of this process among them.
    """
    if not in_shards(shard):
        return value[None], 0
    mesh = shard.device_mesh
    found = [torch.empty_like(value) for _ in range(mesh.size())]
    torch.distributed.all_gather(found, value.contiguous(), group=mesh.get_group())
    return torch.stack(found), mesh.get_local_rank()


def unfused(optimizer: torch.optim.Optimizer) -> None:
    """Let SGD take its steps of shards one by one: torch has no rule for fused ones."""
    if isinstance(optimizer, torch.optim.SGD):
        for group in optimizer.param_groups:
            group["fused"] = False
