"""Copies of models: frozen teachers, fresh initialisations, snapshots, fingerprints."""

import copy
import inspect
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from types import CodeType

import torch
from torch import Tensor, nn

from lotus_unlearning.runtime.seeds import seeded
from lotus_unlearning.runtime.shards import (
    copy_values,
    in_shards,
    like,
    like_those_of,
    plain,
    whole,
)

_NOT_OWN = ("torch", "builtins", "typing", "abc")
_NO_MAKING = ("forward", "reset_parameters", "_reset_parameters")


def frozen_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose parameters need no gradient: a teacher."""
    return copy.deepcopy(plain(model)).eval().requires_grad_(False)


def fresh_copy(model: nn.Module, seed: int) -> nn.Module:
    """A copy with the same architecture and a fresh random initialisation, drawn by ``seed``.

    Raises:
        ValueError: If part of the model cannot be initialised again; see
            :func:`reset_parameters`.
    """
    return reset_parameters(copy.deepcopy(plain(model)), seed)


def reset_parameters(model: nn.Module, seed: int) -> nn.Module:
    """Initialise ``model`` again, in place, as its architecture does when it is made.

    A model of :func:`lotus_unlearning.models.build`, and one of which :func:`made_by` was told, is
    made anew. Of any other one, timm's ``init_weights`` is used where it has it, and torch's
    ``reset_parameters`` of every module that holds parameters or running statistics: what a
    constructor does to its layers after they are made, it does not do again, and where the code of
    a class seems to do such a thing, a warning says so.

    Args:
        model: Of any origin; parameters and buffers are set, nothing else.
        seed: Same seed, same weights. A gold model takes one drawn from its run
            (:meth:`Runtime.draw_seed`), never that of the run itself: it must not begin where
            the original of the same seed began.

    Returns:
        ``model``.

    Raises:
        ValueError: If a module holds parameters and has no way to initialise them, or the model
            was changed since it was built.
    """
    if in_shards(next(model.parameters())):  # every process draws all of it, and keeps its part
        copy_values(fresh_copy(model, seed), model)
        return model
    device = next(model.parameters()).device
    with seeded(seed, device):
        fresh = getattr(model, "fresh", None)
        if isinstance(fresh, partial | _Made):
            _take_over(model, fresh(seed=seed))
        elif device.type == "cpu":
            _reset_layers(model)
        else:  # drawn on the CPU, so that a seed means the same weights on every device
            drawn = _copy_without_forward(model).cpu()
            _reset_layers(drawn)
            copy_values(drawn, model)
    return model


def made_by(model: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    """Tell how ``model`` was made, so that it can be made again: retraining begins there.

    Needed where a constructor gives its layers other weights than PyTorch does, as torchvision's
    networks do, or a layer has no ``reset_parameters()``.

    Args:
        model: Of any weights; it carries ``make`` from now on, as its copies do.
        make: Returns the architecture with new random weights, drawn by PyTorch's generators.

    Returns:
        ``model``.

    Raises:
        TypeError: If ``make`` is no function.

    >>> from torchvision.models import resnet18
    >>> model = made_by(resnet18(num_classes=10), lambda: resnet18(num_classes=10))
    """
    if not callable(make) or isinstance(make, nn.Module):
        raise TypeError(
            f"make: expected a function that returns a new model, got {type(make).__name__}"
        )
    model.fresh = _Made(make)  # type: ignore[assignment]  # no module, no part of its state
    return model


@dataclass(frozen=True)
class _Made:
    """Makes a model by a user's function."""

    make: Callable[[], nn.Module]

    def __call__(self, seed: int) -> nn.Module:
        with seeded(seed, torch.device("cpu")):
            made = self.make()
        if not isinstance(made, nn.Module):
            raise TypeError(
                f"made_by: expected a function that returns a model, got {type(made).__name__}"
            )
        return made


def _copy_without_forward(model: nn.Module) -> nn.Module:
    """A copy that is gone with its last use: the ``forward`` of a run is bound to what holds it."""
    copied = copy.deepcopy(plain(model))
    for module in copied.modules():
        vars(module).pop("forward", None)
    return copied


def reset_layers(model: nn.Module, names: Sequence[str], seed: int) -> None:
    """Initialise the layers ``names`` of ``model`` again, in place, as in :func:`fresh_copy`.

    Of each, what it holds itself; layers within it are named on their own.

    Raises:
        ValueError: If the model cannot be initialised again.
    """
    if not names:
        return
    new = reset_parameters(_copy_without_forward(model), seed).state_dict()
    with torch.no_grad():
        for key, value in model.state_dict(keep_vars=True).items():
            if key.rpartition(".")[0] in names:
                value.copy_(like(value, new[key]))


def _take_over(model: nn.Module, fresh: nn.Module) -> None:
    shapes = [{name: v.shape for name, v in m.state_dict().items()} for m in (model, fresh)]
    changed = [name for name, shape in shapes[0].items() if shapes[1].get(name) != shape]
    if changed or len(shapes[0]) != len(shapes[1]):
        raise ValueError(
            "expected the architecture that the model was built or made by, but it was changed "
            f"after that ({', '.join(changed[:5]) or 'something is missing'}); say how it is made "
            "now with lotus_unlearning.made_by, or pass a model made from scratch"
        )
    model.load_state_dict(fresh.state_dict())


def _reset_layers(model: nn.Module) -> None:
    without = [
        name or type(module).__name__
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False)) and _reset(module) is None
    ]
    whole = getattr(model, "init_weights", None)
    if without and not callable(whole):
        raise ValueError(
            f"expected layers with reset_parameters(), but {', '.join(without[:5])} has none; say "
            "how the model is made with lotus_unlearning.made_by, or pass one made from scratch"
        )
    own = next((type(m) for m in model.modules() if _sets_weights(type(m))), None)
    if own is not None and not callable(whole):
        warnings.warn(
            f"{own.__name__} is initialised again layer by layer, as PyTorch's layers are by "
            "themselves, but seems to give them other weights when it is made; retraining then "
            "begins elsewhere than the original did: say how the model is made with "
            "lotus_unlearning.made_by",
            stacklevel=2,
        )
    for module in model.modules():
        reset = _reset(module)
        if reset is not None:
            reset()
    if callable(whole):
        whole()


def _sets_weights(kind: type[nn.Module]) -> bool:
    """Whether a class of somebody else seems to give layers other weights than they begin with.

    Its functions call what has "init" in its name, or changes a tensor in place.
    """
    own = [one for one in kind.__mro__ if one.__module__.partition(".")[0] not in _NOT_OWN]
    functions = [f for one in own for f in vars(one).values() if inspect.isfunction(f)]
    others = [f.__code__ for f in functions if f.__name__ not in _NO_MAKING]
    names = [name for code in others for name in _names(code) if not name.startswith("__")]
    return any("init" in name or name.endswith("_") for name in names)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _reset(module: nn.Module) -> Callable[[], object] | None:
    """Torch's name for it, and the one that ``nn.MultiheadAttention`` has."""
    for name in ("reset_parameters", "_reset_parameters"):
        if callable(getattr(module, name, None)):
            return getattr(module, name)  # type: ignore[no-any-return]
    return None


class Penultimate(nn.Module):
    """``model`` with the input of its last linear layer as output: images to features ``[B, D]``.

    Raises:
        ValueError: If the model has no linear layer.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise ValueError("expected a model whose last layer is linear, got one without any")
        self.model, self._features = model, torch.empty(0)
        linear[-1].register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0].detach().flatten(1).float()

    def forward(self, images: Tensor) -> Tensor:
        """``[B, D]``."""
        self.model(images)
        return self._features


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers, to go back to with :func:`restore`.

    Of a model in shards, each process copies its part.
    """
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def restore(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Set ``model`` to ``state``, in place."""
    model.load_state_dict(versioned(model, like_those_of(model, state)))


def versioned(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with the versions of the modules of ``model``, without which some refuse it."""
    whole = OrderedDict(state)
    whole._metadata = getattr(model.state_dict(), "_metadata", None)  # type: ignore[attr-defined]
    return whole


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of names, types, shapes and bytes of all parameters and buffers."""
    digest = sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        flat = whole(value.detach()).cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
