"""Predictions once per (model, split), every measure from those, and the record of them."""

from lotus_unlearning.evaluation.compare import evaluate
from lotus_unlearning.evaluation.describe import describe, versions
from lotus_unlearning.evaluation.made import poorly_taught, unchanged
from lotus_unlearning.evaluation.record import Evaluation

__all__ = ["Evaluation", "describe", "evaluate", "poorly_taught", "unchanged", "versions"]
