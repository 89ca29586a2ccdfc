"""Which images a data set holds: what was measured on some is not compared on others."""

from functools import lru_cache
from hashlib import blake2b

import torch

from lotus_unlearning.benchmark.cells import DataChoice
from lotus_unlearning.benchmark.materials import PARTS, load
from lotus_unlearning.datasets import Data
from lotus_unlearning.images import ImageTensors


@lru_cache(maxsize=8)
def contents(choice: DataChoice, root: str | None) -> str:
    """A digest of a data set, computed once per process."""
    return digest(load(choice, root))


def digest(data: Data) -> str:
    """A digest of labels and images of each part.

    Images are told by their pixels where these are in memory, else by their names: files are not
    read for it.
    """
    found = blake2b(digest_size=8)
    for part in PARTS:
        source = getattr(data, part)
        found.update(f"{part} {len(source)} ".encode())
        found.update(source.labels.contiguous().numpy().tobytes())
        if isinstance(source, ImageTensors):
            images = source.images.contiguous()
            found.update(f"{tuple(images.shape)}{images.dtype} ".encode())
            found.update(images.view(torch.uint8).numpy().tobytes())
        else:
            for name in source.names or ():
                found.update(f"{name}\n".encode())
    return found.hexdigest()
