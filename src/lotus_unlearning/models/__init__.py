"""Models by name, and their weights in files."""

from lotus_unlearning.models.build import MODELS, ModelInfo, build, check
from lotus_unlearning.models.weights import load_weights, save_weights

__all__ = ["MODELS", "ModelInfo", "build", "check", "load_weights", "save_weights"]
