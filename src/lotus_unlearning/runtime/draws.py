"""Random numbers of a run: from its generator on the CPU, equal in all processes."""

import torch
from torch import Tensor

from lotus_unlearning.runtime.processes import Processes
from lotus_unlearning.views import moved, random_shifts


class Draws:
    """What :class:`lotus_unlearning.runtime.Runtime` draws for a method.

    Attributes:
        device: Where what is drawn goes.
        processes: The processes that share the work.
        generator: On the CPU, seeded by the run.
    """

    device: torch.device
    processes: Processes
    generator: torch.Generator

    def draw_seed(self) -> int:
        """A seed for something new, such as an initialisation: not that of the run."""
        return int(torch.randint(2**31, (1,), generator=self.generator))

    def permutation(self, size: int) -> Tensor:
        """A random order of ``size`` positions, equal in all processes."""
        return torch.randperm(size, generator=self.generator)

    def gumbel(self, *shape: int) -> Tensor:
        """Independent standard Gumbel noise of ``shape``, equal in all processes."""
        draw = torch.empty(shape).exponential_(generator=self.generator)
        return -draw.clamp_min(torch.finfo(draw.dtype).tiny).log().to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Independent standard normal noise of ``shape``, equal in all processes."""
        return torch.empty(shape).normal_(generator=self.generator).to(self.device)

    def random_labels(self, size: int, classes: int) -> Tensor:
        """Labels ``[size]`` drawn uniformly from all ``classes``, equal in all processes."""
        return torch.randint(classes, (size,), generator=self.generator).to(self.device)

    def shifted(self, images: Tensor, whole: int, pixels: int, flip: bool) -> Tensor:
        """``images`` ``[B, C, H, W]``, each moved and mirrored at random.

        Args:
            images: This process's shard of a batch.
            whole: Images in that batch: every process draws for all of them.
            pixels: The largest shift.
            flip: Whether to mirror half of them.
        """
        size = whole, images.shape[-2], images.shape[-1]
        drawn = random_shifts(size, pixels, flip, self.generator)
        rows, columns = (self.processes.shard(places) for places in drawn)
        return moved(images, (rows, columns))
