"""What a verdict and its self-test say, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lotus_unlearning.audit.rows import LABELS, known
from lotus_unlearning.report.page import formatted, percent

Plain = Mapping[str, Any]
NOT_ENOUGH = "not enough gold models to say"


def unit(name: str) -> str:
    """Of a statistic of the verdict."""
    return "" if name == "margin" else known(name).unit


def of_verdict(verdict: Plain, self_test: Plain | None, forgotten_before: int = 0) -> list[str]:
    """What was found, by how much; or what would have been found."""
    return [*_of_verdict(verdict), *_of_original(verdict, self_test, forgotten_before)]


def _of_verdict(verdict: Plain) -> Iterator[str]:
    golds, needed = verdict["golds"], verdict["golds_needed"]
    if verdict["outcome"] == "distinguishable":
        yield from (_difference(f) for f in verdict["findings"] if f["distinguishable"])
        return
    if golds < needed:
        yield f"There are {golds} gold models; this verdict needs {needed} or more."
    if verdict["findings"] and verdict["smallest_effect"] is not None:
        yield (
            f"Each statistic was compared with those of {golds} gold models. One that is "
            f"{verdict['smallest_effect']:.1f} of their standard deviations away would have been "
            f"found with a chance of {percent(verdict['power'])}; what is nearer may be there."
        )


def _difference(finding: Plain) -> str:
    label = LABELS[finding["name"]]
    value, gold = (formatted(finding[key], unit(finding["name"])) for key in ("value", "gold"))
    effect = finding["effect"]
    if effect is None:
        return f"{label}: {value}, where all golds agree on {gold}."
    side = "above" if effect > 0 else "below"
    return (
        f"{label}: {value}, where golds have {gold}; {abs(effect):.1f} of their standard "
        f"deviations {side} (corrected p\u00a0=\u00a0{finding['corrected']:.2g})."
    )


def _of_original(verdict: Plain, self_test: Plain | None, forgotten_before: int) -> Iterator[str]:
    """An outcome that the original gets, too, says nothing about forgetting."""
    original = None if self_test is None else self_test["original"]
    same = original is not None and original["outcome"] == verdict["outcome"]
    if not same or not verdict["outcome"].startswith("indistinguishable"):
        return
    if forgotten_before:
        yield (
            f"So is {_before(forgotten_before)}: what this run did, this verdict over all of the "
            "images cannot tell."
        )
    else:
        yield (
            "So is the original, which has forgotten nothing: these images left no trace that this "
            "verdict can see, before unlearning or after."
        )


def _before(forgotten: int) -> str:
    return f"the model before, which had already forgotten {forgotten:,} of these images"


def of_self_test(found: Plain, forgotten_before: int = 0) -> list[str]:
    """How far the verdict itself can be trusted.

    Args:
        found: As :func:`lotus_unlearning.audit.judge.self_test` gives it.
        forgotten_before: How many of the images the original had forgotten by an earlier run.
    """
    original = _caught(found["original"], forgotten_before)
    return [*_of_golds(found["held_out"]), *original, *_of_put_back(found)]


def _of_golds(held_out: Plain | None) -> Iterator[str]:
    if held_out is None:
        yield "The verdict could not be tested on its own gold models: 4 or more are needed."
        return
    yield (
        f"{held_out['passed']} of {held_out['golds']} gold models, each judged by the others, are "
        f"not called distinguishable: {percent(held_out['share'])} [{percent(held_out['low'])}, "
        f"{percent(held_out['high'])}], where {percent(held_out['expected'])} are expected."
    )
    if held_out["ok"] and held_out["share"] < held_out["expected"]:
        yield "That is fewer than expected, and no fewer than chance may bring."
    if not held_out["ok"]:
        yield (
            "That is too few: this verdict raises false alarms here, and a distinction that it "
            "makes proves little."
        )


def _caught(original: Plain | None, forgotten_before: int) -> Iterator[str]:
    if original is None:
        return
    if forgotten_before:
        sentence = f"{_before(forgotten_before)}, is found to be: {original['outcome']}."
        yield sentence[0].upper() + sentence[1:]
    elif original["outcome"] == "distinguishable":
        yield (
            "The original, which has forgotten nothing, is called distinguishable, as it should be."
        )
    else:
        yield f"The original, which has forgotten nothing, is not found out: {original['outcome']}."


def _of_put_back(found: Plain) -> Iterator[str]:
    rows: Sequence[Plain] = found["put_back"]
    if not rows:
        yield (
            "From how many images on that were not forgotten the verdict would notice was not "
            "tested: no gold was trained with some of them put back."
        )
        return
    if found["caught_from"] is not None:
        yield (
            f"Gold models with some of the images put back are found out from "
            f"{found['caught_from']} images on."
        )
    else:
        most = rows[-1]
        yield (
            f"Gold models with some of the images put back are not reliably found out, up to "
            f"{most['images']} images ({most['caught']} of {most['models']} were)."
        )
