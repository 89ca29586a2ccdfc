"""Weights that steps may not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lotus_unlearning.runtime.shards import local


@dataclass(frozen=True)
class Held:
    """Parameters, or this process's shards of them, of which some values stay what they were.

    Attributes:
        starts: Of each: true where it may change, and the values of the start.
    """

    starts: dict[nn.Parameter, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @classmethod
    def outside(cls, masks: Mapping[nn.Parameter, Tensor]) -> "Held":
        """All values of now where a mask is not true."""
        return cls({p: (mask, local(p.detach()).clone()) for p, mask in masks.items()})

    def out_of_gradients(self) -> None:
        """No gradient for what is held: it counts in no norm and no momentum."""
        for parameter, (mask, _) in self.starts.items():
            if parameter.grad is not None:
                local(parameter.grad).masked_fill_(~mask, 0)

    @torch.no_grad()
    def put_back(self) -> None:
        """What is held is again what it was."""
        for parameter, (mask, start) in self.starts.items():
            torch.where(mask, local(parameter), start, out=local(parameter))
