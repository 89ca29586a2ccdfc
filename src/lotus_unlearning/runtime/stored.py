"""Rows as they arrive, batch by batch: in memory, or in a file where they are too many."""

import os
import sys
import tempfile
from collections.abc import Iterable

import torch
from torch import Tensor

from lotus_unlearning.images import memory_bytes

STORED = torch.half
"""The type of rows in a file, by which they are known; models answer in float32 or float64."""

PREDICTION_SHARE = 0.1
"""Rows larger than this share of the memory in which they would be are kept in a file."""


def collected(
    batches: Iterable[Tensor], count: int, *, logits: bool = False, may_store: bool = False
) -> Tensor:
    """Rows ``[count, C]`` of ``batches`` ``[B, C]``, one behind the other.

    With ``may_store``, beyond :data:`PREDICTION_SHARE` of the memory, they are in half precision,
    on the CPU, in a file in the temporary folder, of which memory holds what is read at the moment.
    The file has no name: it is gone with the tensor, or with the process, however that ends.

    Args:
        batches: On one device.
        count: Of all rows.
        logits: In a file, take from each row its largest value, which no softmax sees: half
            precision is finest near 0, where then the logits are that matter. What lies further
            below than it reaches, -inf too, becomes its lowest number: a probability of 0.
        may_store: Whether a file is allowed: what is not a softmax's input or output loses by it.

    Raises:
        ValueError: If the temporary folder has no room.

    >>> collected([torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 0.0]])], 2)
    tensor([[1., 3.],
            [2., 0.]])
    """
    found, start = torch.empty(0), 0
    for batch in batches:
        if start == 0:
            found = _room(batch, count, may_store)
        end = start + len(batch)
        found[start:end] = _below_the_largest(batch) if logits and found.dtype is STORED else batch
        start = end
    return found


def _below_the_largest(logits: Tensor) -> Tensor:
    return (logits - logits.amax(dim=1, keepdim=True)).clamp_min(torch.finfo(STORED).min)


def taken(
    rows: Tensor, positions: Tensor | slice, device: torch.device, wide: torch.dtype
) -> Tensor:
    """Some of what :func:`collected` returned; from a file, on ``device`` and in type ``wide``."""
    if rows.dtype is not STORED:
        return rows[positions]
    if isinstance(positions, Tensor):
        positions = positions.to(rows.device)
    return rows[positions].to(device, wide)


def _room(like: Tensor, count: int, may_store: bool) -> Tensor:
    """``[count, C]`` for what is ``like``."""
    shape = (count, *like.shape[1:])
    size = count * like.shape[1:].numel()
    if not may_store or like.dim() != 2 or size * like.element_size() <= _limit(like.device):
        return like.new_empty(shape)
    with tempfile.NamedTemporaryFile(prefix="lotus-") as file:
        try:
            _reserve(file.fileno(), STORED.itemsize * size)
        except OSError as error:
            raise ValueError(
                f"predictions: expected room for {STORED.itemsize * size / 1e9:.1f} GB in "
                f"{tempfile.gettempdir()} ({error.strerror}); set TMPDIR to a folder on a larger "
                "disk, or use fewer images"
            ) from None
        return torch.from_file(file.name, shared=True, size=size, dtype=STORED).view(shape)


def _reserve(file: int, size: int) -> None:
    """Room on the disk itself: where it fills up later, the system kills the process."""
    if sys.platform == "linux":
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def _limit(device: torch.device) -> float:
    if device.type == "cuda":
        return PREDICTION_SHARE * torch.cuda.get_device_properties(device).total_memory
    return PREDICTION_SHARE * memory_bytes()
