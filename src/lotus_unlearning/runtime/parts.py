"""Whether a batch may be computed by fewer images at once, to the same result."""

import copy

import torch
from torch import Tensor, nn

from lotus_unlearning.runtime.seeds import seeded


def why_whole(model: nn.Module, shape: tuple[int, ...]) -> str | None:
    """Why batches of ``model`` have to be computed whole, in words; ``None`` if they need not.

    Found by trying a copy, in training mode, on two random images: what it answers to one may not
    depend on the other (BatchNorm), and no buffer may change, as it would do more often than once
    in a step (running statistics, spectral norm).

    Args:
        model: Stays as it is.
        shape: ``[B, ...]`` of a batch.

    >>> why_whole(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), (8, 3))
    >>> why_whole(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), (8, 3))
    'the answer to an image depends on the others of its batch, as with BatchNorm'
    """
    learner = copy.deepcopy(model).train()
    first = next(learner.parameters())
    with torch.no_grad(), seeded(0, first.device):
        for parameter in learner.parameters():
            parameter.add_(0.1 * torch.rand_like(parameter))  # else zeros would hide what is tried
        one, other, another = torch.rand(3, *shape[1:], dtype=first.dtype, device=first.device)
        before = [buffer.clone() for buffer in learner.buffers()]
        try:
            alone = _answer(copy.deepcopy(learner), one, other)
            beside = _answer(learner, one, another)
        except Exception as error:  # of any model of a person's own
            return f"two random images could not be tried ({type(error).__name__}: {error})"
    if not torch.allclose(alone, beside, rtol=1e-4, atol=1e-6, equal_nan=True):
        return "the answer to an image depends on the others of its batch, as with BatchNorm"
    after = zip(learner.named_buffers(), before, strict=True)
    changed = [name for (name, now), then in after if not torch.equal(now, then)]
    if changed:
        return f"each pass in training mode changes {', '.join(changed[:3])}"
    return None


def _answer(model: nn.Module, one: Tensor, other: Tensor) -> Tensor:
    with seeded(0, one.device):  # the same dropout for every pair
        answers: Tensor = model(torch.stack([one, other]))
    return answers[0]
