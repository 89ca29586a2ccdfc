"""Make a trained image classifier forget chosen training images, and show how well it forgot.

The names below load on first use, so that ``import lotus_unlearning`` costs next to nothing. Banks
of retrained models and audits against them are in :mod:`lotus_unlearning.audit`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lotus_unlearning.evaluation import Evaluation, evaluate
    from lotus_unlearning.images import ImageTensors
    from lotus_unlearning.methods import (
        METHODS,
        SCRUB,
        SSD,
        UNSIR,
        BadTeacher,
        Finetune,
        GradientAscent,
        L1Sparse,
        LoTUS,
        NegGradPlus,
        RandomLabels,
        Regrow,
        Retrain,
        SalUn,
        Understudy,
    )
    from lotus_unlearning.metrics import METRICS
    from lotus_unlearning.runtime import Runtime, made_by
    from lotus_unlearning.splits import Split, Splits
    from lotus_unlearning.training import Recipe, Trained, train
    from lotus_unlearning.tuning import tune
    from lotus_unlearning.unlearning import Method, Unlearned, unlearn

_HOME = {
    "METHODS": "methods",
    "METRICS": "metrics",
    "Evaluation": "evaluation",
    "ImageTensors": "images",
    "SCRUB": "methods",
    "SSD": "methods",
    "UNSIR": "methods",
    "BadTeacher": "methods",
    "Finetune": "methods",
    "GradientAscent": "methods",
    "L1Sparse": "methods",
    "LoTUS": "methods",
    "NegGradPlus": "methods",
    "RandomLabels": "methods",
    "Regrow": "methods",
    "Retrain": "methods",
    "SalUn": "methods",
    "Understudy": "methods",
    "Recipe": "training",
    "Runtime": "runtime",
    "Split": "splits",
    "Splits": "splits",
    "Method": "unlearning",
    "Trained": "training",
    "Unlearned": "unlearning",
    "evaluate": "evaluation",
    "made_by": "runtime",
    "train": "training",
    "tune": "tuning",
    "unlearn": "unlearning",
}

__all__ = [
    "METHODS",
    "METRICS",
    "SCRUB",
    "SSD",
    "UNSIR",
    "BadTeacher",
    "Evaluation",
    "Finetune",
    "GradientAscent",
    "ImageTensors",
    "L1Sparse",
    "LoTUS",
    "Method",
    "NegGradPlus",
    "RandomLabels",
    "Recipe",
    "Regrow",
    "Retrain",
    "Runtime",
    "SalUn",
    "Split",
    "Splits",
    "Trained",
    "Understudy",
    "Unlearned",
    "evaluate",
    "made_by",
    "train",
    "tune",
    "unlearn",
]


def __getattr__(name: str) -> Any:
    """Import the module that holds ``name`` when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
