"""What is counted while a method runs; measures of results are in ``metrics``."""

from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of rows ``[N, C]`` whose largest logit is at the label ``[N]``; never rounded."""
    return (logits.argmax(dim=1) == labels.to(logits.device)).double().mean().item()
