"""What must be true of a model and its data before any work; every problem in one message."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lotus_unlearning.images import Images, ImageTensors, called
from lotus_unlearning.images.pixels import model_input, not_finite
from lotus_unlearning.splits import Split, Splits

_CHUNK = 1024


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


def require_model(model: object, name: str) -> None:
    """``model`` is one, and not something to make one of.

    Raises:
        TypeError: If it is no ``nn.Module``.
    """
    if isinstance(model, nn.Module):
        return
    if isinstance(model, type):
        got = f"the class {model.__name__}; make a model of it: {model.__name__}(...)"
    elif callable(model):
        got = f"{_kind(model)}; put what it does into the forward() of a torch.nn.Module"
    else:
        got = f"{_kind(model)}; a file of weights has to be loaded into a model first"
    raise TypeError(f"{name}: expected a torch.nn.Module, got {got}")


def check_splits(splits: Splits, method: Any) -> None:
    """Both are what they are called, and the splits that ``method`` reads are there.

    Raises:
        TypeError: If ``splits`` or ``method`` is something else.
        ValueError: If a split is missing or empty.
    """
    _require_splits(splits)
    reads = getattr(method, "reads", None)
    if isinstance(method, type) or not callable(method) or reads is None:
        got = f"the class {method.__name__}" if isinstance(method, type) else repr(method)[:80]
        raise TypeError(
            "method: expected a method with its settings, such as LoTUS(epochs=10), or an object "
            f"with reads and __call__; got {got}"
        )
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
        TypeError: If ``model`` is no model or ``splits`` are no splits.
        ValueError: If they do not fit; lists every problem.
    """
    require_model(model, "model")
    _require_splits(splits)
    parts = [splits.forget, splits.retain, splits.unseen, splits.test]
    present = [part for part in parts if part is not None and len(part)]
    problems = [] if batch_size >= 1 else [f"batch_size: expected at least 1, got {batch_size}"]
    problems += _weight_problems(model)
    problems += [p for part in present for p in _pixel_problems(part)]
    if any(True for _ in model.parameters()):
        problems += [p for part in present[:1] for p in _output_problems(model, part, present)]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        several = f"{len(problems)} problems:\n{listed}"
        raise ValueError(problems[0] if len(problems) == 1 else several)


def _require_splits(splits: object) -> None:
    if not isinstance(splits, Splits):
        raise TypeError(
            f"splits: expected Splits, got {_kind(splits)}; make them with Splits.from_ids, "
            "Splits.random or Splits.of_class"
        )


def _kind(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value):
        return f"the {type(value).__name__} {getattr(value, '__name__', repr(value)[:80])}"
    return type(value).__name__


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
    """Of images in memory; streamed ones are looked at when they are read."""
    source = split.source
    if not isinstance(source, ImageTensors) or not source.images.is_floating_point():
        return []
    chunks = torch.split(split.ids, _CHUNK)
    bad = [int(ids[i]) for ids in chunks for i in not_finite(source.images[ids])]
    if not bad:
        return []
    return [
        f"{split.name}: expected finite pixels, got NaN or infinity in {len(bad)} images, the "
        f"first at position {bad[0]} of the data set{_by_name(source, bad[0])}; repair or remove "
        "them"
    ]


def _by_name(source: Images, position: int) -> str:
    if source.names is None and source.official is None:
        return ""
    return f" ({called(source, position)})"


def _output_problems(model: nn.Module, first: Split, present: list[Split]) -> list[str]:
    parameter = next(model.parameters())
    try:
        images = _inputs(first.take(torch.arange(min(2, len(first)))), parameter.device)
    except ValueError as error:  # of streamed images, which are read here for the first time
        return [f"{first.name}: {error}"]
    try:
        logits = _try(model, images.to(parameter.dtype))
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
        f"{split.name}: expected labels 0..{classes - 1} for a model with output [B, {classes}], "
        f"got {torch.unique(outside).tolist()[:5]}"
    ]


def _try(model: nn.Module, images: Tensor) -> Any:
    """The model's answer to ``images``, in evaluation mode; its modes are put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            return model(images)
    finally:
        for module, training in modes:
            module.training = training


def _inputs(split: Split, device: torch.device) -> Tensor:
    if isinstance(split.source, ImageTensors):
        return split.source.inputs(split.source.images[split.ids].to(device))
    return model_input(next(split.source.batches([split.ids])).to(device))
