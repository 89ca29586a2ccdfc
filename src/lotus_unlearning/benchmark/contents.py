"""Which images a data set holds: what was measured on some is not compared on others."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import torch

from lotus_unlearning.benchmark.cells import DataChoice
from lotus_unlearning.benchmark.materials import PARTS, load
from lotus_unlearning.datasets import Data
from lotus_unlearning.images import Images, ImageTensors


@lru_cache(maxsize=8)
def contents(choice: DataChoice, root: str | None) -> str:
    """A digest of a data set, computed once per process."""
    return digest(load(choice, root))


def digest(data: Data) -> str:
    """A digest of labels and images of each part, behind a word for what tells the images.

    ``names`` where images have them, else ``pixels`` where they are in memory, else ``labels``
    alone: a large machine holds what a small one reads from files, and decoders differ in bits.
    """
    sources = [getattr(data, part) for part in PARTS]
    kind = _kind(sources)
    found = blake2b(digest_size=8)
    for source in sources:
        found.update(f"{len(source)} ".encode())
        found.update(source.labels.contiguous().numpy().tobytes())
        if kind == "names":
            for name in source.names:
                found.update(f"{name}\n".encode())
        elif kind == "pixels":
            images = source.images.contiguous()
            found.update(f"{tuple(images.shape)}{images.dtype} ".encode())
            found.update(images.view(torch.uint8).numpy().tobytes())
    return f"{kind}:{found.hexdigest()}"


def _kind(sources: Sequence[Images]) -> str:
    if all(source.names is not None for source in sources):
        return "names"
    return "pixels" if all(isinstance(s, ImageTensors) for s in sources) else "labels"


def differ(one: str, other: str) -> bool:
    """Whether two digests are of different images; digests of two kinds say nothing.

    >>> differ("names:1", "names:2"), differ("names:1", "pixels:2"), differ("names:1", "names:1")
    (True, False, False)
    """
    return one.partition(":")[0] == other.partition(":")[0] and one != other
