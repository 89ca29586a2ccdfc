"""Copies of models: frozen teachers, fresh initialisations, snapshots, fingerprints."""

import copy
from collections.abc import Callable
from hashlib import sha256

import torch
from torch import Tensor, nn


def frozen_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose parameters need no gradient: a teacher."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def fresh_copy(model: nn.Module) -> nn.Module:
    """A copy with the same architecture and a fresh random initialisation.

    Raises:
        ValueError: If part of the model cannot be initialised again; see
            :func:`reset_parameters`.
    """
    return reset_parameters(copy.deepcopy(model))


def reset_parameters(model: nn.Module) -> nn.Module:
    """Initialise ``model`` again, in place, as its layers do when they are made.

    timm's models carry ``init_weights``, which is used; otherwise every module that holds
    parameters or running statistics must have torch's ``reset_parameters``.

    Raises:
        ValueError: If a module holds parameters and has no way to initialise them.
    """
    without = [
        name or type(module).__name__
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False)) and _reset(module) is None
    ]
    whole = getattr(model, "init_weights", None)
    if without and not callable(whole):
        raise ValueError(
            f"expected layers with reset_parameters(), but {', '.join(without[:5])} has none; "
            "pass a model made from scratch instead"
        )
    for module in model.modules():
        reset = _reset(module)
        if reset is not None:
            reset()
    if callable(whole):
        whole()
    return model


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
    """Copies of all parameters and buffers, to go back to with :func:`restore`."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def restore(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Set ``model`` to ``state``, in place."""
    model.load_state_dict(state)


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of names, types, shapes and bytes of all parameters and buffers."""
    digest = sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
