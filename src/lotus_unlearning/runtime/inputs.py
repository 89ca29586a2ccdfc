"""Images of a split as the model takes them, on its device."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lotus_unlearning.images import ImageTensors, StreamedImages
from lotus_unlearning.images.pixels import model_input
from lotus_unlearning.splits import Split

PREDICTED_AT_ONCE = 256
MORE_ON_GPU = 4
"""Times as many are predicted at once on a GPU, where they are small."""
SMALL = 1 << 16
"""Bytes of an image as the model takes it."""


@dataclass
class Inputs:
    """Moves images to the device: once where they are held in memory, else batch by batch.

    Attributes:
        device: Of the model.
        precision: That it computes in.
        streamed: Whether images were read from a disk, not from memory.
    """

    device: torch.device
    precision: torch.dtype
    streamed: bool = False
    _on_device: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    _warned: bool = field(default=False, repr=False)

    def of(self, split: Split, chunks: Sequence[Tensor]) -> Iterator[Tensor]:
        """Model inputs ``[B, ...]`` for each chunk of positions in ``split``."""
        source, places = split.source, [split.ids[chunk] for chunk in chunks]
        if isinstance(source, ImageTensors):
            images = self._resident(source)
            for chunk in self.moved(places):
                yield self._ready(source.inputs(images[chunk]))
            return
        self.streamed = True
        for images in source.batches(places, pin=self.device.type == "cuda"):
            yield self._ready(model_input(images.to(self.device, non_blocking=True)))

    def predicted_at_once(self, split: Split) -> int:
        """How many images of ``split`` to read, and predict, at once."""
        source = split.source
        if self.device.type != "cuda" or not isinstance(source, ImageTensors):
            return PREDICTED_AT_ONCE
        one = source.inputs(source.images[:1])
        small = one.numel() * one.element_size() <= SMALL
        return PREDICTED_AT_ONCE * (MORE_ON_GPU if small else 1)

    def moved(self, chunks: Sequence[Tensor]) -> Sequence[Tensor]:
        """The same positions on the device, in one piece: each copy there waits for the GPU."""
        if self.device.type == "cpu" or not chunks:
            return chunks
        return torch.split(torch.cat(list(chunks)).to(self.device), [len(c) for c in chunks])

    def warn_of_random_views(self, split: Split) -> None:
        """Once, if the images of ``split``, which are to be predicted, differ at every read."""
        source = split.source
        if self._warned or not isinstance(source, StreamedImages) or not source.random:
            return
        self._warned = True
        warnings.warn(
            f"{split.name}: the images differ at every read, so that what is predicted once (a "
            "teacher's answers, an accuracy) is said of other views than those that are trained "
            "on; pass the data set without random transforms",
            stacklevel=4,
        )

    def _resident(self, source: ImageTensors) -> Tensor:
        """The images on the device, moved there once."""
        if self.device.type == "cpu":
            return source.images
        if id(source) not in self._on_device:
            # the CPU tensor is kept beside the copy: an id is unique only while it lives
            self._on_device[id(source)] = source.images.to(self.device), source.images
        return self._on_device[id(source)][0]

    def _ready(self, x: Tensor) -> Tensor:
        if self.precision is torch.float64:
            x = x.double()
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
