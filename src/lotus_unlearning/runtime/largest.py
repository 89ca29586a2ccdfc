"""The largest of many values, without sorting them."""

import torch
from torch import Tensor

from lotus_unlearning.runtime.shards import local, of_each

_BASE = 1 << 16


def largest(values: list[Tensor], count: int) -> list[Tensor]:
    """True at the ``count`` largest of all values, the first ones among equals.

    Sorting would take a position of 8 bytes for each value. As bits, floats from 0 on are in the
    order of their values: the smallest one that is in is found 16 bits at a time, by counting.

    Args:
        values: From 0 on, of one floating type. Of those in shards, the answer is for the part
            that this process has.
        count: At least 1.

    >>> largest([torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0])], 3)
    [tensor([True, True]), tensor([False,  True])]
    """
    size = values[0].element_size()
    bits = [local(value).view({4: torch.int32, 8: torch.int64}[size]) for value in values]
    smallest, rest = 0, [b.flatten() for b in bits]
    for shift in range(8 * size - 16, -1, -16):
        counts = torch.zeros(_BASE, dtype=torch.long, device=bits[0].device)
        for r in rest:
            counts += torch.bincount(_digit(r, shift), minlength=_BASE)
        counts = of_each(counts, values[0])[0].sum(dim=0)
        from_above = counts.flip(0).cumsum(0)
        above = int((from_above < count).sum())
        count -= int(from_above[above - 1]) if above else 0
        digit = _BASE - 1 - above
        smallest, rest = (smallest << 16) | digit, [r[_digit(r, shift) == digit] for r in rest]
    equals = [(b == smallest).flatten() for b in bits]
    each, place = of_each(torch.stack([equal.sum() for equal in equals]), values[0])
    total = each.sum(dim=0)
    before = total.cumsum(dim=0) - total + each[:place].sum(dim=0)
    for equal, seen in zip(equals, before.tolist(), strict=True):
        equal[equal.nonzero()[max(0, count - seen) :, 0]] = False
    return [(b > smallest) | equal.view(b.shape) for b, equal in zip(bits, equals, strict=True)]


def _digit(bits: Tensor, shift: int) -> Tensor:
    """16 bits of each of ``bits``, from the one at ``shift`` on."""
    return (bits >> shift) & (_BASE - 1)
