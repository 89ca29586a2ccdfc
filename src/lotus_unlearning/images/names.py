"""Many names in one block of memory."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from torch import Tensor


class Names(Sequence[str]):
    """A sequence of names that costs 8 bytes each beside the letters; a tuple of them costs 57.

    Worker processes share the block with their parent. Looking at a Python string writes to it
    (its count of references), and so copies it.

    Attributes:
        text: All names behind each other.
        ends: Where in ``text`` each of them ends.

    >>> names = Names(["cat/1.png", "dog/2.png"])
    >>> names[1], names == ("cat/1.png", "dog/2.png"), len(names)
    ('dog/2.png', True, 2)
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        text, self.ends = bytearray(), array("q")
        for name in names:
            text += name.encode("utf-8", "surrogateescape")
            self.ends.append(len(text))
        self.text = bytes(text)

    @classmethod
    def of(cls, text: bytes, ends: bytes) -> "Names":
        """Those with these attributes, ``ends`` as bytes."""
        made = cls()
        made.text = text
        made.ends.frombytes(ends)
        return made

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[str, ...]: ...
    def __getitem__(self, position: int | slice) -> str | tuple[str, ...]:
        if isinstance(position, slice):
            return tuple(self[i] for i in range(*position.indices(len(self))))
        end = self.ends[position]  # knows negative positions, and those out of range
        start = self.ends[position - 1] if position % len(self) else 0
        return self.text[start:end].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self.ends:
            yield self.text[start:end].decode("utf-8", "surrogateescape")
            start = end

    def __eq__(self, other: object) -> bool:
        """Whether ``other`` is a sequence of the same names."""
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Names({len(self):,})"


def taken(names: Sequence[str], positions: Tensor) -> Names:
    """The names at ``positions`` ``[M]`` int64.

    >>> import torch
    >>> list(taken(["a", "b", "c"], torch.tensor([2, 0])))
    ['c', 'a']
    """
    return Names(names[i] for i in whole(positions))


def whole(positions: Tensor) -> "array[int]":
    """``positions`` ``[M]`` int64 as a sequence of Python's numbers, 8 bytes each instead of 36."""
    return array("q", positions.contiguous().numpy().tobytes())
