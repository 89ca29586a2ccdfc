"""The norm of the gradient of each image's own loss: how hard an image pulls at the weights."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad

from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split

SAMPLE = 200
"""At most so many images of a part are looked at: one costs as much as a step of training."""
_NUMBERS_AT_ONCE = 2**27
_MOST = 128


def sampled(split: Split) -> Split:
    """At most ``SAMPLE`` images of ``split``, evenly spread."""
    at = torch.linspace(0, len(split) - 1, min(SAMPLE, len(split))).round().long()
    return split.take(at)


def gradient_norms(model: nn.Module, split: Split, run: Runtime) -> NDArray[np.float64]:
    r"""Norm of the gradient of the loss of each image, in evaluation mode; exact.

    .. math:: \| \nabla_\theta \, \ell(f_\theta(x_i), y_i) \|_2

    Over all parameters. Images do not change each other's gradients, as BatchNorm in evaluation
    mode uses its running statistics. On a CPU, one image after another is faster, elsewhere many
    at once.

    Args:
        model: On the device of ``run``, prepared by it; stays as it is.
        split: N images.
        run: Device and precision.

    Returns:
        ``[N]``, at least 0.

    Raises:
        ValueError: If the model does something that ``vmap`` cannot follow.
    """
    frozen = copy.deepcopy(model).eval()
    norms = one_by_one if run.device.type == "cpu" else at_once
    return norms(frozen, split, run)


def one_by_one(model: nn.Module, split: Split, run: Runtime) -> NDArray[np.float64]:
    """As :func:`gradient_norms`, with a backward pass for each image."""
    weights = list(model.requires_grad_(True).parameters())
    found = []
    for x, y, _ in run.batches(split, 1, shuffle=False):
        run.backward(weights, F.cross_entropy(model(x), y))
        squares = [w.grad.double().square().sum() for w in weights if w.grad is not None]
        found.append(torch.stack(squares).sum().sqrt().cpu())
    return torch.stack(found).numpy()


def at_once(model: nn.Module, split: Split, run: Runtime) -> NDArray[np.float64]:
    """As :func:`gradient_norms`, for a chunk of images at once: ``vmap`` of ``grad``."""
    weights = {name: w.detach() for name, w in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits = functional_call(model, (parameters, buffers), (x[None],))
        return F.cross_entropy(logits, y[None])

    each = torch.vmap(grad(loss), in_dims=(None, 0, 0))
    count = sum(value.numel() for value in weights.values())
    chunk = max(1, min(_MOST, _NUMBERS_AT_ONCE // count))
    found = []
    for x, y, _ in run.batches(split, chunk, shuffle=False):
        try:
            gradients = each(weights, x.contiguous(), y)
        except RuntimeError as error:
            reason = f"{error}".splitlines()[0]
            raise ValueError(
                f"gradient_norm: {type(model).__name__} does what vmap cannot follow ({reason})"
            ) from error
        squares = [g.flatten(1).double().square().sum(dim=1) for g in gradients.values()]
        found.append(torch.stack(squares).sum(dim=0).sqrt().cpu())
    return torch.cat(found).numpy()


def spread(split: Split, model: nn.Module, run: Runtime) -> NDArray[np.float32]:
    """Norms of a sample of ``split`` at their places among all images of its source, else NaN."""
    some = sampled(split)
    norms = np.full(len(split.source), np.nan, dtype=np.float32)
    norms[some.ids.numpy()] = gradient_norms(model, some, run)
    return norms
