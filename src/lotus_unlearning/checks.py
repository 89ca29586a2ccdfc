"""What must be true of a model and its data before any work; every problem in one message."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lotus_unlearning.images import ImageTensors
from lotus_unlearning.splits import Split, Splits


def require(settings: object, limits: Mapping[str, bool]) -> None:
    """Every limit on ``settings`` holds.

    Args:
        settings: A record of settings, shown in the message.
        limits: What is expected, in words -> whether it is so.

    Raises:
        ValueError: If not; lists all that do not hold.
    """
    broken = [limit for limit, holds in limits.items() if not holds]
    if broken:
        raise ValueError(f"expected {', '.join(broken)}; got {settings}")


def check_splits(splits: Splits, method: Any) -> None:
    """The splits that ``method`` reads are there.

    Raises:
        ValueError: If one is missing.
    """
    missing = sorted(name for name in method.reads if getattr(splits, name) is None)
    empty = sorted(name for name in method.reads - set(missing) if len(getattr(splits, name)) == 0)
    if missing or empty:
        raise ValueError(
            f"{type(method).__name__} reads {', '.join(sorted(method.reads))}, but these splits "
            f"have no {', '.join(missing + empty)}; pass it to Splits"
        )


def check_model(model: nn.Module, splits: Splits, batch_size: int = 1) -> None:
    """``model`` classifies the images of ``splits``, and neither holds a NaN.

    Raises:
        ValueError: If not; lists every problem.
    """
    parts = [splits.forget, splits.retain, splits.unseen, splits.test]
    present = [part for part in parts if part is not None and len(part)]
    problems = [] if batch_size >= 1 else [f"batch_size: expected at least 1, got {batch_size}"]
    problems += _weight_problems(model)
    problems += [p for part in present for p in _pixel_problems(part)]
    if any(True for _ in model.parameters()):
        problems += [p for part in present[:1] for p in _output_problems(model, part, present)]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise ValueError(problems[0] if len(problems) == 1 else f"Problems:\n{listed}")


def _weight_problems(model: nn.Module) -> list[str]:
    problems = []
    if "forward" in vars(model):
        problems.append(
            "model: expected forward() in the class, but it is replaced on this instance "
            "(torch.compile does so); pass the module as it was before"
        )
    values = [*model.named_parameters(), *model.named_buffers()]
    bad = [n for n, v in values if v.is_floating_point() and not torch.isfinite(v).all()]
    if bad:
        problems.append(
            f"model: expected finite weights, got NaN or infinity in {', '.join(bad[:5])}; "
            "load a checkpoint from before training diverged"
        )
    if not any(True for _ in model.parameters()):
        problems.append("model: expected parameters to change, got a model without any")
    return problems


def _pixel_problems(split: Split) -> list[str]:
    if not isinstance(split.source, ImageTensors) or not split.source.images.is_floating_point():
        return []
    flat = split.source.images[split.ids].flatten(1)
    bad = split.ids[~torch.isfinite(flat).all(dim=1)].tolist()
    if not bad:
        return []
    return [
        f"{split.name}: expected finite pixels, got NaN or infinity in {len(bad)} images, the "
        f"first at position {bad[0]} of the data set; repair or remove them"
    ]


def _output_problems(model: nn.Module, first: Split, present: list[Split]) -> list[str]:
    try:
        logits = _try(model, first)
    except Exception as error:  # any failure of foreign code becomes one of the problems
        return [
            f"model: expected to classify images of {first.name}, but it raised "
            f"{type(error).__name__}: {error}"
        ]
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != min(2, len(first)):
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        return [
            f"model: expected logits [B, C] for {min(2, len(first))} images, got {shape}; wrap "
            "the model so that it returns logits alone"
        ]
    classes = logits.shape[1]
    return [p for split in present for p in _label_problems(split, classes)]


def _label_problems(split: Split, classes: int) -> list[str]:
    outside = split.labels[(split.labels < 0) | (split.labels >= classes)]
    if not len(outside):
        return []
    return [
        f"{split.name}: expected labels 0..{classes - 1} for a model with {classes} classes, got "
        f"{torch.unique(outside).tolist()[:5]}"
    ]


def _try(model: nn.Module, split: Split) -> Any:
    """The model's answer to two images, in evaluation mode; its modes are put back."""
    parameter = next(model.parameters())
    images = _inputs(split.take(torch.arange(min(2, len(split)))), parameter.device)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            return model(images.to(parameter.dtype))
    finally:
        for module, training in modes:
            module.training = training


def _inputs(split: Split, device: torch.device) -> Tensor:
    if isinstance(split.source, ImageTensors):
        return split.source.inputs(split.source.images[split.ids].to(device))
    images = next(split.source.batches([split.ids])).to(device)
    return images if images.is_floating_point() else images.float() / 255
