"""The record of one request: what was asked, found and done, and what is not claimed."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import lotus_unlearning
from lotus_unlearning.requests import entries, ledger
from lotus_unlearning.requests.answers import answer
from lotus_unlearning.requests.entries import Request, Run
from lotus_unlearning.requests.later import measured
from lotus_unlearning.requests.workspace import WEIGHTS, Workspace, served_run

FORMAT = "lotus-deletion-record/1"
HASH_OF_IMAGES = (
    "BLAKE2b with a digest of 16 bytes, in hexadecimal, of a header and the pixels behind it. The "
    "header is the shape and the type as Python and PyTorch write them, such as "
    "(3, 224, 224)torch.uint8; pixels are bytes by channel, row and column, of the image as the "
    "training data hold it: decoded, resized, cut to a square. Floats that are 256 levels of "
    "[0, 1] count as these levels."
)
_LIMITS = (
    "What is shown is shown by these measures, for these images and seeds. Other attacks may find "
    "more; who tests with an attack learns about that attack.",
    "Intervals are 95%. They cover the choice of images, not the randomness of training; those of "
    "accuracies are by Clopper and Pearson. Those of golds cover the randomness of training: they "
    "are where one more gold is expected.",
    "An AUC of 0.5 is a coin toss. A model that never saw the images need not be at 0.5, if they "
    "differ from the unseen images they are compared with.",
    "Measures of all forgotten images are of those of all requests so far; those of one request "
    "rest on its images alone, and few images say little.",
    "The ledger's chain of hashes shows alterations by whoever does not write all of it anew. The "
    "signature says that the holder of the key issued this record, not that what it says is right.",
)
_APPROXIMATE = (
    "The weights were changed by an approximate method. They are not those of a model that was "
    "trained without the images."
)
_RETRAINED = (
    "The model was trained anew from its start without the images that are to be forgotten, on the "
    "data that the workspace names."
)
_NO_AUDIT = (
    "No audit against retrained models was made. Whether the model behaves like one that never saw "
    "the images is not shown here."
)
_NOT_COVERED = (
    "Copies of the images elsewhere: files, caches, other data sets, unseen and test images. This "
    "program deletes no image.",
    "The model as it was before, wherever it was copied to or kept, and models derived from it: "
    "fine-tuned, distilled, quantised or exported ones.",
    "Backups of data, models and ledger.",
    "What earlier models already gave away: predictions, features, logs.",
    "The ledger keeps ids and hashes of the images, so that they are recognised if they come back.",
)


def record(workspace: Workspace, number: int) -> dict[str, Any]:
    """Everything about a request, as plain data.

    Nothing in it speaks of the images of other requests one by one.

    Raises:
        ValueError: If there is no such request, or the served model is not the ledger's.
    """
    request = entries.request(workspace.db, number)
    current, last = served_run(workspace), ledger.head(workspace.db)
    all_runs = {run.number: run for run in entries.runs(workspace.db)}
    run = all_runs.get(request.run) if request.run is not None else None
    history = ledger.events(workspace.db, request=number)
    if run is not None:
        history = sorted(
            [*history, *ledger.events(workspace.db, run=run.number)], key=lambda e: e.number
        )
    tries = [r for r in all_runs.values() if r.state == "kept" and number in r.requests]
    return {
        "format": FORMAT,
        "answer": answer(request, run),
        "request": {
            key: getattr(request, key)
            for key in ("id", "reference", "received", "due", "state", "why")
        },
        "images": [asdict(image) for image in request.images],
        "hash_of_images": HASH_OF_IMAGES,
        "similar_images": request.near,
        "run": None if run is None else _run(run, all_runs),
        "evidence": None if run is None else _evidence(workspace, run, request, current),
        "since_then": None if run is None else _since(current, run, number),
        "earlier_models_kept": _kept(workspace, all_runs, current),
        "kept_from_being_served": [
            {"run": r.number, "at": r.at, "method": r.record["method"], "why": r.why} for r in tries
        ],
        "audit": None if run is None else run.record["audit"],
        "limits": _limits(run),
        "not_covered": list(_NOT_COVERED),
        "history": [asdict(event) for event in history],
        "ledger": {"rows": last.number, "last_hash": last.hash},
        "issued": {"at": ledger.now(), "by": f"lotus-unlearning {lotus_unlearning.__version__}"},
    }


def _run(run: Run, known: Mapping[int, Run]) -> dict[str, Any]:
    found, before = run.record, known[run.record["started_from"]["run"]]
    keys = ("architecture", "method", "seeds", "data", "versions", "measured_on", "seconds")
    return {
        "number": run.number,
        "served_since": run.at,
        "retrained": found["retrained"],
        "model_before": {
            "run": before.number,
            "weights_sha256": before.weights,
            "file_sha256": before.file,
        },
        "model_after": {"weights_sha256": run.weights, "file_sha256": run.file},
        **{key: found[key] for key in keys},
        # older ledgers do not say:
        **{key: found.get(key) for key in ("parameters", "made_on", "pretrained")},
        "images": found["images"],
    }


def _evidence(workspace: Workspace, run: Run, request: Request, current: Run) -> dict[str, Any]:
    found, key = run.record, str(request.id)
    own, how = found["of_requests"].get(key), f"by run {run.number}"
    if own is None and current.record["of_requests"].get(key) is None:
        later = measured(workspace, request, current)
        own, how = later["found"], later["how"]
    return {
        "of_this_request": own,
        "of_this_request_measured": how,
        "of_all_forgotten_images": found["measures"],
        "guard_rails": found["guard_rails"],
        "drift": found["drift"],
        "notes": found["notes"],
    }


def _since(current: Run, run: Run, number: int) -> dict[str, Any] | None:
    """What the model that is served now does, if it is another one."""
    if current.number == run.number:
        return None
    return {
        "run": current.number,
        "served_since": current.at,
        "weights_sha256": current.weights,
        "of_this_request": current.record["of_requests"].get(str(number)),
        "drift": current.record["drift"],
    }


def _kept(workspace: Workspace, known: Mapping[int, Run], current: Run) -> list[int]:
    """Runs before the one that is served whose models are still in the workspace."""
    return [
        n for n in known if n != current.number and (workspace.run_folder(n) / WEIGHTS).exists()
    ]


def _limits(run: Run | None) -> list[str]:
    if run is None:
        return list(_LIMITS)
    how = _RETRAINED if run.record["retrained"] else _APPROXIMATE
    return [how, *([] if run.record["audit"] else [_NO_AUDIT]), *_LIMITS]
