"""What is known about a measure: its function, direction, bounds, needs, meaning and source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["up", "down", "near gold"]
Need = Literal["gold", "original", "unseen", "test", "golds"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of ``METRICS``.

    Attributes:
        name: The key in ``METRICS`` and in result files.
        function: Computes it from arrays.
        direction: What is good: ``"up"``, ``"down"``, or ``"near gold"``.
        lower: Smallest possible value, or minus infinity.
        upper: Largest possible value, or infinity.
        unit: ``"share"``, ``"nats"``, or empty for a pure number.
        needs: What it reads besides the unlearned model on forget and retain images.
        definition: One sentence.
        source: Where it comes from.
    """

    name: str
    function: Callable[..., Any]
    direction: Direction
    lower: float
    upper: float
    unit: str
    needs: tuple[Need, ...]
    definition: str
    source: str
