"""Making a workspace around a trained model."""

import copy
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.checks import check_model
from lotus_unlearning.datasets import Data
from lotus_unlearning.files import folders
from lotus_unlearning.images import Images
from lotus_unlearning.requests import entries, index, ledger, settings
from lotus_unlearning.requests.canonical import file_digest, settle
from lotus_unlearning.requests.plan import architecture_of, method_of, recipe_of, runtime
from lotus_unlearning.requests.settings import Settings
from lotus_unlearning.requests.signing import make_keys
from lotus_unlearning.requests.workspace import (
    CURRENT,
    KEYS,
    LEDGER,
    RUNS,
    WEIGHTS,
    Workspace,
    point_to,
)
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.splits import Split, Splits


def start(folder: Path, chosen: Settings, model: nn.Module, data: Data) -> None:
    """Make a workspace at ``folder``: complete, or not there.

    Args:
        folder: The folder to make, new or empty.
        chosen: The settings that become ``lotus.yaml``.
        model: The model that is served so far, trained on ``data.train``.
        data: The data set that ``chosen.data`` names.

    Raises:
        ValueError: If model and data do not fit, or the settings name no method.
    """
    method_of(chosen)
    recipe_of(chosen)
    parts = {n: Split(n, getattr(data, n), _all(getattr(data, n))) for n in index.PARTS}
    none = parts["train"].take(torch.arange(0))
    check_model(model, Splits(none, parts["train"], parts["unseen"], parts["test"]))
    first = _accuracies(model, parts, chosen)
    with folders.folder(folder) as place:
        settings.write(chosen, place / settings.FILE)
        index.save(index.build(data), place / index.FILE)
        make_keys(place / KEYS)
        _first_run(place, chosen, model)
        ledger.create(place / LEDGER)
        with ledger.opened(place / LEDGER) as db:
            made = Workspace(place, db)
            with ledger.transaction(db):
                entries.add_run(
                    db,
                    0,
                    "original",
                    weights=fingerprint(model),
                    file=file_digest(made.run_folder(0) / WEIGHTS),
                    record={
                        "first": first,
                        "images": {n: len(p) for n, p in parts.items()},
                        "index_sha256": file_digest(place / index.FILE),
                    },
                )
            point_to(made, 0)
        settle(place)
    assert (folder / CURRENT).is_symlink()


def _first_run(place: Path, chosen: Settings, model: nn.Module) -> None:
    (place / RUNS).mkdir()
    with folders.folder(place / RUNS / "0000") as path:
        runs.write(
            path,
            config=asdict(chosen.data),
            model=model,
            architecture=architecture_of(chosen),
            manifest={"command": "request init"},
        )


def _accuracies(
    model: nn.Module, parts: dict[str, Split], chosen: Settings
) -> dict[str, float | None]:
    """Of the first model, from which drift is counted."""
    run = runtime(chosen)
    with run.prepared(copy.deepcopy(model)) as ready:
        found = {n: run.accuracy(ready, parts[n]) if len(parts[n]) else None for n in parts}
    return {"retain_accuracy": found["train"], "test_accuracy": found["test"]}


def _all(images: Images) -> torch.Tensor:
    return torch.arange(len(images))
