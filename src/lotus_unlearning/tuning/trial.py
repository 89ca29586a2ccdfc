"""A trial: some settings, and what came of them."""

import statistics
from dataclasses import dataclass, field
from typing import Any

FAILED = 10.0
"""The objective of settings that end in a loss that is not finite; others stay below 2."""


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Attributes:
        settings: The name of each setting -> its value.
        values: The objective in each draw; less is better.
        warnings: What the method warned of, each sentence once.
        seconds: The seconds of all draws, measuring included.
    """

    settings: dict[str, Any]
    values: tuple[float, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def value(self) -> float:
        """Mean over draws; ``FAILED`` if one of them did."""
        return FAILED if FAILED in self.values else statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation between draws; ``None`` if there is but one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None
