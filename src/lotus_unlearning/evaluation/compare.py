"""evaluate(): how well did it forget, compared with before and with retraining?"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lotus_unlearning.checks import check_model
from lotus_unlearning.evaluation import sections
from lotus_unlearning.evaluation.describe import describe, versions
from lotus_unlearning.evaluation.made import Model, module_of, poorly_taught, unchanged
from lotus_unlearning.evaluation.measures import Measured, measure, memory, table
from lotus_unlearning.evaluation.predictions import (
    BriefByModel,
    ByModel,
    missing,
    predict,
    predict_briefly,
)
from lotus_unlearning.evaluation.record import Evaluation
from lotus_unlearning.report.page import formatted, percent
from lotus_unlearning.runtime import (
    Processes,
    Runtime,
    check_blocks,
    check_precision,
    choose_device,
    choose_precision,
    fingerprint,
)
from lotus_unlearning.runtime.agreement import require_the_same
from lotus_unlearning.runtime.facts import Facts, identity
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Trained
from lotus_unlearning.unlearning import Unlearned

NO_GOLD = (
    "No gold model was given: whether the unlearned model behaves like a retrained one is not "
    "shown here."
)


def evaluate(
    model: nn.Module | Unlearned | None,
    splits: Splits,
    *,
    original: Model | None = None,
    gold: Model | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = "float32",
    shard: bool = False,
    compile: bool = False,
    title: str | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure how well ``model`` forgot ``splits.forget``.

    Each model predicts each split once, in evaluation mode; all measures come from those
    predictions. The given models stay as they are.

    Args:
        model: After unlearning. What :func:`unlearn` returned brings its history, time and
            memory along. ``None``: how far is the original from gold?
        splits: As they were for unlearning.
        original: Before unlearning; RF-JSD needs it.
        gold: Retrained without the forget images; JSD and average gap need it.
        seed: Of the bootstrap.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        precision: float32 unless asked otherwise: measures should not depend on the hardware.
        shard: Let each of several processes hold a part of the model that is predicted, as for
            :func:`lotus_unlearning.unlearn`.
        compile: Compile the blocks that the models repeat, as for
            :func:`lotus_unlearning.unlearn`.
        title: Of the page.
        manifest: More facts about the runs, for the page.

    Raises:
        ValueError: If there is no model, or one and the data do not fit; lists every problem.

    >>> train, test = ((torch.rand(20, 1, 4, 4), torch.arange(20) % 2) for _ in range(2))
    >>> splits = Splits.from_ids(train, forget=[1, 4], test=test)
    >>> before, after = (nn.Sequential(nn.Flatten(), nn.Linear(16, 2)) for _ in range(2))
    >>> found = evaluate(after, splits, original=before, device="cpu")
    >>> list(found.values), 0 <= found.values["unlearned"]["test_accuracy"] <= 1
    (['original', 'unlearned'], True)
    """
    models = _models(original, model, gold)
    _check(models, splits)
    place = choose_device(device)
    how: dict[str, Any] = {"seed": seed, "shard": shard, "compiles": compile}
    run = Runtime(place, choose_precision(precision, place), processes=Processes.start(), **how)
    _check_run(models, splits, run)
    answers = predict(models, splits, run, ("forget", "unseen", "test"))
    retained = predict_briefly(models, splits.retain, run)
    names = class_names(splits, _classes(answers))
    found = measure(answers, retained, seed)
    method = _method(model)
    page = {
        "title": title or _title(method, splits),
        "summary": _summary(found, splits, model),
        "method": method,
        "columns": list(models),
        "table": table(found, {"unlearned": _cost(model), "gold": _cost(gold)}),
        "history": model.history if isinstance(model, Unlearned) else [],
        **_sections(found, splits, answers, retained, names),
        "notes": _notes(found, splits, models, model, list(memory(answers, retained))),
        "manifest": _manifest(models, splits, seed, run, manifest or {}),
    }
    return Evaluation(page)


def _sections(
    found: Measured,
    splits: Splits,
    answers: ByModel,
    retained: BriefByModel,
    names: Sequence[str],
) -> dict[str, Any]:
    """What the page shows below its table."""
    before = "original" if "original" in answers else None
    return {
        "entropy": sections.entropy(answers),
        "roc": sections.roc(answers, found),
        "class_divergence": sections.class_divergence(found.class_divergence, names),
        "class_accuracy": sections.class_accuracy(answers, retained, names),
        "images": sections.images(splits.forget, answers, before, names),
    }


def _models(
    original: Model | None, model: Model | None, gold: Model | None
) -> dict[str, nn.Module]:
    given = {"original": original, "unlearned": model, "gold": gold}
    models = {
        name: module_of(value, "model" if name == "unlearned" else name)
        for name, value in given.items()
        if value is not None
    }
    if not models:
        raise ValueError("model: expected a model to measure, got none; or pass original, gold")
    return models


def _check_run(models: Mapping[str, nn.Module], splits: Splits, run: Runtime) -> None:
    """The precision is right for the models, and all processes were given the same."""
    for candidate in models.values():
        check_precision(run, candidate, splits.forget)
        check_blocks(run, candidate)
    if run.processes.count > 1:
        require_the_same(_facts(models, splits, run), run.processes)


def _facts(models: Mapping[str, nn.Module], splits: Splits, run: Runtime) -> Facts:
    """What the measures depend on."""
    parts = {name: getattr(splits, name) for name in ("forget", "retain", "unseen", "test")}
    return {
        "precision": str(run.precision),
        "compile": str(run.compiles),
        "seed": str(run.seed),
        **{name: identity(part) for name, part in parts.items()},
        **{name: fingerprint(candidate) for name, candidate in models.items()},
    }


def _check(models: Mapping[str, nn.Module], splits: Splits) -> None:
    for candidate in models.values():
        check_model(candidate, splits)


def _classes(answers: ByModel) -> int:
    """Number of classes, of which all models must have the same."""
    counts = {name: int(splits["forget"].logits.shape[1]) for name, splits in answers.items()}
    if len({*counts.values()}) > 1:
        told = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise ValueError(f"models: expected the same number of classes, got {told}")
    return next(iter(counts.values()))


def class_names(splits: Splits, classes: int) -> list[str]:
    """So many names: those that are known, and numbers for a model's other outputs."""
    known = splits.classes or ()
    return [*known, *(str(c) for c in range(len(known), classes))][:classes]


def _cost(model: Model | None) -> dict[str, float | None]:
    if not isinstance(model, Unlearned | Trained):
        return {}
    return {"seconds": model.seconds, "peak_memory_bytes": model.peak_memory_bytes}


def _method(model: Model | None) -> dict[str, Any]:
    """Name, settings and source of the method that was run, if known."""
    method = getattr(model, "method", None)
    if method is None:
        return {}
    if isinstance(method, Mapping):  # from the manifest of a run
        return dict(method)
    return describe(method)


def _title(method: Mapping[str, Any], splits: Splits) -> str:
    by = f" by {method['name']}" if method else ""
    return f"Forgetting {len(splits.forget):,} images{by}"


def _summary(found: Measured, splits: Splits, model: Model | None) -> list[str]:
    values = found.values
    total = len(splits.forget) + len(splits.retain)
    sentences = [f"{len(splits.forget):,} of {total:,} training images were to be forgotten."]
    if isinstance(model, Unlearned):
        sentences[0] += f" That took {formatted(model.seconds, 's')}."
    for name, label in (("forget", "the forgotten images"), ("test", "test images")):
        key = f"{name}_accuracy"
        shares = [f"{m} {percent(values[m][key])}" for m in values if key in values[m]]
        if shares:
            sentences.append(f"Accuracy on {label}: {', '.join(shares)}.")
    looked_at = "unlearned" if "unlearned" in values else next(iter(values))
    attack = found.intervals[looked_at].get("auc_loss")
    if attack is not None:
        of_gold = "gold" in values and looked_at != "gold"
        others = "test" if splits.unseen is None else "unseen"
        whose = "" if looked_at == "unlearned" else f" of the {looked_at} model"
        sentences.append(
            f"Someone who sees the loss{whose} tells forgotten from {others} images with an AUC of "
            f"{attack.value:.3f} [{attack.low:.3f}, {attack.high:.3f}] (0.5: a coin toss)"
            + (f", of gold with {values['gold']['auc_loss']:.3f}." if of_gold else ".")
        )
    return sentences


def _notes(
    found: Measured,
    splits: Splits,
    models: Mapping[str, nn.Module],
    model: Model | None,
    first: list[str],
) -> list[str]:
    notes = [
        *first,
        "Shown for these images, these attacks and these seeds; other attacks may find more. "
        "Intervals are 95%, by bootstrap over images, and leave out the randomness of training.",
    ]
    same = unchanged(models["original"], model) if model and "original" in models else None
    taught = poorly_taught(found.values, model)
    notes[:0] = [sentence for sentence in (same, taught) if sentence is not None]
    if "gold" not in models:
        notes.append(NO_GOLD)
    notes += missing(splits)
    divergence = found.class_divergence.get("unlearned")
    if divergence is not None and divergence.missing_in_unseen:
        notes.append(
            f"Classes of forget without an unseen image, which RF-JSD leaves out: "
            f"{len(divergence.missing_in_unseen)}."
        )
    return [*notes, *found.notes]


def _manifest(
    models: Mapping[str, nn.Module],
    splits: Splits,
    seed: int,
    run: Runtime,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    parts = {n: getattr(splits, n) for n in ("forget", "retain", "unseen", "test")}
    return {
        **more,
        "images": {n: len(part) for n, part in parts.items() if part is not None},
        "forgotten": splits.forget.official_ids,
        "sha256 of weights": {name: fingerprint(model) for name, model in models.items()},
        "evaluation seed": seed,
        "evaluated on": f"{run.device}, {str(run.precision).removeprefix('torch.')}",
        "versions": versions(),
    }
