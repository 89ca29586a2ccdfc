"""Where to write names beside dots so that nothing lies on anything else."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
_DISTANCES = (6.0, 9.0, 14.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0, 100.0)
_ANGLES = tuple(math.radians(a) for a in (0, 180, 90, 270, 35, 145, 325, 215, 60, 120, 300, 240))
_ROUNDS = 4
_AIR = 1.5


@dataclass(frozen=True)
class Box:
    """A rectangle.

    Attributes:
        left: Its smallest x.
        bottom: Its smallest y.
        right: Its largest x.
        top: Its largest y.
    """

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: "Box") -> float:
        """The area that both share, with a little air between them."""
        width = min(self.right, other.right) - max(self.left, other.left) + _AIR
        height = min(self.top, other.top) - max(self.bottom, other.bottom) + _AIR
        return max(0.0, width) * max(0.0, height)

    def outside(self, frame: "Box") -> float:
        """How far it sticks out of ``frame``."""
        across = max(0.0, frame.left - self.left) + max(0.0, self.right - frame.right)
        return across + max(0.0, frame.bottom - self.bottom) + max(0.0, self.top - frame.top)


@dataclass(frozen=True)
class Label:
    """A name in its place.

    Attributes:
        box: Where it is written.
        anchor: The dot that it belongs to.
        start: Where a line to the dot leaves it; ``None`` if it is so near that it needs none.
    """

    box: Box
    anchor: Point
    start: Point | None


def place(
    sizes: Sequence[Point], anchors: Sequence[Sequence[Point]], dots: Sequence[Box], frame: Box
) -> list[Label]:
    """Places for names, chosen one after the other and then improved.

    Args:
        sizes: Width and height of each name.
        anchors: The dots of each name; it stands beside one of them.
        dots: What must not be covered.
        frame: What all of them should be inside of.

    Returns:
        One place for each name.

    >>> (label,) = place([(30, 8)], [[(50, 50)]], [Box(46, 46, 54, 54)], Box(0, 0, 100, 100))
    >>> label.box.left > 54, label.start is None
    (True, True)
    """
    chosen: dict[int, Label] = {}
    for _ in range(_ROUNDS):
        before = dict(chosen)
        for i, size in enumerate(sizes):
            others = [label for j, label in chosen.items() if j != i]
            chosen[i] = min(
                _candidates(size, anchors[i]), key=lambda c: _cost(c, others, dots, frame)
            )
        if chosen == before:
            break
    return [chosen[i] for i in range(len(sizes))]


def _candidates(size: Point, anchors: Sequence[Point]) -> Iterator[Label]:
    width, height = size
    for distance in _DISTANCES:
        for x, y in anchors:
            for angle in _ANGLES:
                dx, dy = math.cos(angle), math.sin(angle)
                near = x + distance * dx, y + distance * dy
                left = near[0] - width * (1 - dx) / 2
                bottom = near[1] - height * (1 - dy) / 2
                box = Box(left, bottom, left + width, bottom + height)
                yield Label(box, (x, y), near if distance > _DISTANCES[1] else None)


def _cost(label: Label, others: Sequence[Label], dots: Sequence[Box], frame: Box) -> float:
    away = math.dist(label.anchor, label.start) if label.start else 0.0
    cost = away + 1000 * label.box.outside(frame)  # a name that is cut cannot be read
    cost += sum(12 * label.box.overlap(dot) for dot in dots)
    for other in others:
        cost += 20 * label.box.overlap(other.box)
        cost += 150 * (_crossed(other, label.box) + _crossed(label, other.box))
    return cost


def _crossed(label: Label, box: Box) -> bool:
    """Whether the line from a label to its dot runs through ``box``."""
    if label.start is None:
        return False
    (x0, y0), (x1, y1) = label.start, label.anchor
    steps = [step / 16 for step in range(17)]
    return any(
        box.left < x0 + s * (x1 - x0) < box.right and box.bottom < y0 + s * (y1 - y0) < box.top
        for s in steps
    )
