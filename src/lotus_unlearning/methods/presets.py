"""Settings by name, where they are not the defaults: those of published tables, and tuned ones."""

from importlib import resources

import yaml

from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.bad_teacher import BadTeacher
from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.lotus import LoTUS
from lotus_unlearning.methods.neg_grad_plus import NegGradPlus
from lotus_unlearning.methods.retrain import Retrain
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Method


def _tuned(data: str) -> dict[str, Method]:
    """Settings that ``lotus tune`` found, from ``tuned/DATA.yaml``; empty if there is none."""
    file = resources.files("lotus_unlearning.methods") / "tuned" / f"{data}.yaml"
    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: METHODS[name](**entry["settings"]) for name, entry in found.items()}


PRESETS: dict[str, dict[str, Method]] = {
    # found on digits and Fashion-MNIST with a small ResNet: the published rate hardly moves it
    "demo": {"lotus": LoTUS(epochs=20, alpha=8, learning_rate=1e-3)},
    "lotus-tables-resnet18": {  # Spartalis et al., CVPR 2025, and the code behind its tables
        "lotus": LoTUS(),
        "finetune": Finetune(epochs=10, learning_rate=1e-3, momentum=0.9, weight_decay=5e-4),
        # the sum of both losses there is twice their mean of halves here
        "neg-grad-plus": NegGradPlus(
            phases="separate", alpha=0.5, epochs=10, learning_rate=2e-3, weight_decay=2.5e-4
        ),
        "bad-teacher": BadTeacher(epochs=10),
        "retrain": Retrain(
            recipe=Recipe(
                epochs=150, batch_size=512, learning_rate=0.1, warmup_epochs=30, patience=50
            )
        ),
    },
    "lotus-tables-resnet18-cifar-10": {"lotus": LoTUS(alpha=8)},
    "lotus-tables-vit": {
        "lotus": LoTUS(epochs=3, learning_rate=1e-6),
        "finetune": Finetune(epochs=3, learning_rate=1e-3, momentum=0.9, weight_decay=5e-4),
        "bad-teacher": BadTeacher(epochs=3),
    },
    "tuned-digits": _tuned("digits"),
    "tuned-fashion-mnist": _tuned("fashion-mnist"),
    "lotus-tables-class": {"lotus": LoTUS(alpha=32, target_accuracy=0.0)},
}
"""Preset -> method -> settings."""
