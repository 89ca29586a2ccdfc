"""What a run made: its network, and a sentence where it is not what it was meant to be."""

from collections.abc import Mapping

from torch import nn

from lotus_unlearning.checks import require_model
from lotus_unlearning.report.page import percent
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.training import Trained
from lotus_unlearning.unlearning import Unlearned

Model = nn.Module | Unlearned | Trained

POOR = 0.1
"""Of accuracy: so far below the original's on unseen images is no understudy that was trained."""


def module_of(model: Model | None, name: str) -> nn.Module:
    """The network of what :func:`train` or :func:`unlearn` returned, or the network itself.

    Raises:
        TypeError: If it is something else; ``name`` is the argument's name in the message.
    """
    module = model.model if isinstance(model, Unlearned | Trained) else model
    require_model(module, name)
    assert isinstance(module, nn.Module)
    return module


def unchanged(before: nn.Module, made: Model) -> str | None:
    """A sentence if unlearning left every weight as it was; ``None`` if it did not.

    Args:
        before: The original.
        made: What came of it; what :func:`unlearn` returned may know the reason.
    """
    if fingerprint(before) != fingerprint(module_of(made, "model")):
        return None
    row = made.history[-1] if isinstance(made, Unlearned) and made.history else {}
    forget, unseen = row.get("forget_accuracy"), row.get("unseen_accuracy")
    target = row.get("target_accuracy") if unseen is None else unseen
    if "loss" in row or forget is None or target is None:
        return "Unlearning changed nothing: all weights are those of the original."
    aim = "the target" if unseen is None else "accuracy on unseen images"
    return (
        f"Unlearning changed nothing: it stopped in epoch {row['epoch']}, as accuracy on forget "
        f"images ({percent(forget)}) is already not above {aim} ({percent(target)})."
    )


def poorly_taught(values: Mapping[str, Mapping[str, float | None]], made: object) -> str | None:
    """A sentence if the network that taught the forget images was hardly trained; else ``None``.

    Its accuracy on them, which it never saw, should be about that of the original on unseen ones.

    Args:
        values: Measures by model.
        made: What :func:`unlearn` returned.
    """
    row = made.history[-1] if isinstance(made, Unlearned) and made.history else {}
    taught, unseen = (
        row.get("understudy_accuracy"),
        values.get("original", {}).get("unseen_accuracy"),
    )
    if taught is None or unseen is None or taught >= unseen - POOR:
        return None
    return (
        f"The understudy was right on {percent(taught)} of the forget images, the original is on "
        f"{percent(unseen)} of unseen ones: what was taught is not what a retrained network would "
        "say. Let it train longer (recipe.epochs: about a quarter of the original's), by the "
        "original's own recipe, and, where that was fine-tuned, from the weights it began with."
    )
