"""Losses as pure functions of logits ``[B, C]``; every one is a mean over the batch."""

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy to probabilities ``targets`` ``[B, C]``: ``-1/B sum_x sum_j t_j log s_j``.

    >>> import torch
    >>> round(soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]])).item(), 4)
    0.6931
    """
    return -(targets * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def distillation(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """``T^2 KL(softmax(teacher/T) || softmax(student/T))`` (Hinton et al., 2015).

    >>> import torch
    >>> distillation(torch.zeros(2, 3), torch.zeros(2, 3)).item()
    0.0
    """
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2
