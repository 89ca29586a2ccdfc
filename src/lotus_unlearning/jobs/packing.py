"""Weights and predictions as the bytes of the files that hold them."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

WEIGHTS, PREDICTIONS = "model.safetensors", "predictions.npz"
"""What such files are called."""


def packed(model: nn.Module) -> bytes:
    """A safetensors file of the weights."""
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return save({name: value.clone().contiguous() for name, value in state.items()})


def zipped(arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> bytes:
    """An npz file."""
    stream = io.BytesIO()
    write = np.savez_compressed if compressed else np.savez
    write(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def unzipped(contents: bytes, most: int | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file.

    Args:
        contents: Of the file.
        most: Bytes that its arrays may have together; ``None``: as many as they have.

    Raises:
        ValueError: If they are more, or the file is damaged; nothing is unpacked before.

    >>> unzipped(zipped({"train": np.arange(3)}))
    {'train': array([0, 1, 2])}
    """
    if most is not None:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > most:
            raise ValueError(f"{len(contents):,} bytes would become {size:,}, not {most:,} at most")
    with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
