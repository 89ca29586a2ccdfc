"""What ``lotus tune`` may change in each method, and within which bounds.

Two to four settings per method, those its own paper tunes; all others keep their defaults. Bounds
go at least a factor of ten to each side of the published value where there is one.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, drawn evenly or evenly in their logarithm.

    Attributes:
        low: The smallest.
        high: The largest; an integer range where both are integers.
        log: Draw the logarithm evenly.
    """

    low: float
    high: float
    log: bool = False


Space = dict[str, Range | tuple[str, ...]]

_RATE = Range(1e-5, 1e-2, log=True)
_SGD_RATE = Range(1e-4, 1e-1, log=True)

SPACES: dict[str, Space] = {
    "lotus": {"learning_rate": _RATE, "alpha": Range(1.0, 32.0, log=True), "epochs": Range(2, 20)},
    "finetune": {"learning_rate": _SGD_RATE, "epochs": Range(1, 20)},
    "neg-grad-plus": {
        "learning_rate": _SGD_RATE,
        "alpha": Range(0.5, 0.9999),
        "epochs": Range(1, 15),
    },
    "random-labels": {"learning_rate": _RATE, "epochs": Range(1, 10)},
    "bad-teacher": {
        "learning_rate": _RATE,
        "temperature": Range(0.5, 5.0, log=True),
        "epochs": Range(1, 10),
    },
    "scrub": {
        "learning_rate": _RATE,
        "alpha": Range(1e-3, 5.0, log=True),
        "max_steps": Range(1, 5),
        "epochs": Range(2, 12),
    },
    "ssd": {"alpha": Range(1.0, 100.0, log=True), "dampening": Range(0.05, 1.0, log=True)},
    "unsir": {},
    "salun": {
        "learning_rate": _SGD_RATE,
        "share": Range(0.1, 0.9),
        "epochs": Range(1, 10),
    },
    "l1-sparse": {
        "learning_rate": _SGD_RATE,
        "penalty": Range(1e-6, 1e-2, log=True),
        "epochs": Range(1, 15),
    },
    "gradient-ascent": {"learning_rate": Range(1e-6, 1e-2, log=True), "epochs": Range(1, 10)},
}
"""Method -> setting -> bounds; UNSIR's settings depend on each other and are left alone."""
