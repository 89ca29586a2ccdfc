"""Predictions as they arrive, batch by batch: in memory, or in a file where they are too many."""

import os
import tempfile
from collections.abc import Iterable

import torch
from torch import Tensor

from lotus_unlearning.images import memory_bytes

PREDICTION_SHARE = 0.1
"""Predictions larger than this share of the memory where they are made are kept in a file."""


def collected(batches: Iterable[Tensor], count: int) -> Tensor:
    """Logits ``[count, C]`` of ``batches`` ``[B, C]``, one behind the other.

    Beyond :data:`PREDICTION_SHARE` of the memory, they are in half precision, on the CPU, in a file
    in the temporary folder, of which memory holds what is read at the moment. They are then less
    the largest of their row, which no softmax sees: half precision is finest near 0, so that the
    probabilities that matter keep most digits. The file is nameless: it is gone with the tensor, or
    with the process, however that ends.

    Raises:
        ValueError: If the temporary folder has no room.

    >>> collected([torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 0.0]])], 2)
    tensor([[1., 3.],
            [2., 0.]])
    """
    found, start = torch.empty(0), 0
    for batch in batches:
        if start == 0:
            found = _room(batch, count)
        end = start + len(batch)
        if found.dtype is torch.half:
            batch = batch - batch.amax(dim=1, keepdim=True)
        found[start:end] = batch
        start = end
    return found


def rows(logits: Tensor, positions: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Those of :func:`collected` at ``positions`` ``[B]``, where these are, in full precision."""
    if logits.dtype is not torch.half:
        return logits[positions]
    return logits[positions.to(logits.device)].to(positions.device, dtype)


def _room(like: Tensor, count: int) -> Tensor:
    """``[count, C]`` for what is ``like``."""
    shape = (count, *like.shape[1:])
    if like.dim() != 2 or count * like[0].numel() * like.element_size() <= _limit(like.device):
        return like.new_empty(shape)
    size = count * like.shape[1]
    with tempfile.NamedTemporaryFile(prefix="lotus-predictions-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, 2 * size)  # a full disk later kills the process
        except OSError as error:
            raise ValueError(
                f"predictions: expected {2 * size / 1e9:.1f} GB of room in {tempfile.gettempdir()} "
                f"({error.strerror}); set TMPDIR to a folder on a larger disk, or use fewer images"
            ) from None
        kept = torch.from_file(file.name, shared=True, size=size, dtype=torch.half)
    return kept.view(shape)


def _limit(device: torch.device) -> float:
    if device.type == "cuda":
        return PREDICTION_SHARE * torch.cuda.get_device_properties(device).total_memory
    return PREDICTION_SHARE * memory_bytes()
