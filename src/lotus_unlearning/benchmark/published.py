"""The numbers printed in the LoTUS paper, to stand beside ours.

Spartalis et al., "LoTUS", CVPR 2025, https://arxiv.org/abs/2503.18314, tables 1, 2, 3, 4, 7, 9 and
10, as far as they can be read. Uncertain: table 3 does not say which of its parts is which; the
order of the supplement is assumed. Its JSD columns are what the authors' code computes
(:mod:`lotus_unlearning.metrics.as_published`), its times are minutes on other hardware.
"""

import csv
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

_NAMES = {
    "neggrad+": "neg-grad-plus",
    "random_labels": "random-labels",
    "bad_teacher": "bad-teacher",
    "lotus (gumbel-softmax)": "lotus, gumbel-softmax",
    "lotus (softmax)": "lotus, softmax",
    "retrain": "gold",
}
_UNITS = {"": 1.0, "min": 1.0, "x1e-4": 1e-4}


@dataclass(frozen=True)
class Published:
    """A printed value.

    Attributes:
        mean: The mean as it is printed.
        std: The standard deviation over three seeds; ``None``: it is not printed.
        unit: The unit of ``mean`` and ``std``: ``""``, ``"x1e-4"`` or ``"min"``.
    """

    mean: float
    std: float | None
    unit: str

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {self.std:g}"
        return f"{self.mean:g}{spread}{' min' if self.unit == 'min' else ''}"

    def scaled(self, scale: float) -> "Published":
        """As a column writes it whose values are multiplied by ``scale``; minutes stay minutes.

        >>> str(Published(0.94, 0.01, "").scaled(100)), str(Published(7.02, None, "min").scaled(1))
        ('94 ± 1', '7.02 min')
        """
        factor = scale * _UNITS[self.unit]
        std = None if self.std is None else factor * self.std
        return replace(self, mean=factor * self.mean, std=std)


@cache
def published() -> dict[tuple[str, str, str, str, str, str], Published]:
    """(table, model, data set, scenario, method, measure) -> value; scenario 10%, 50% or class."""
    file = resources.files("lotus_unlearning.benchmark") / "published.csv"
    found = {}
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        method, data = _NAMES.get(row["method"], row["method"]), row["dataset"]
        if method == "lotus (synthetic D_u)":
            method, data = "lotus", "cifake"
        std = float(row["std"]) if row["std"] else None
        scenario = "class" if row["scenario"].startswith("class") else row["scenario"][9:12]
        key = (row["table"], row["model"], data, scenario, method, row["metric"])
        found[key] = Published(float(row["mean"]), std, row["unit"])
    return found
