"""Evidence for a request that no run measured: its images were forgotten before it came."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lotus_unlearning import runs
from lotus_unlearning.images.sources import content_hashes
from lotus_unlearning.requests import evidence, index
from lotus_unlearning.requests.entries import Request, Run
from lotus_unlearning.requests.plan import known_images, load_data, runtime
from lotus_unlearning.requests.workspace import WEIGHTS, Workspace
from lotus_unlearning.splits import Split


def measured(workspace: Workspace, request: Request, current: Run) -> dict[str, Any]:
    """How the first and the served model do on those images of ``request`` that are still there.

    Returns:
        ``how``, in words; and under ``found`` what :func:`evidence.of_requests` gives, or ``None``
        if the data hold none of the images any more.
    """
    known = {*request.trained_on}
    wanted = {f.image: f.content for f in request.images if f.image and f.image in known}
    try:
        there = _still_there(workspace, wanted)
    except ValueError as error:
        return {"found": None, "how": f"not measured, as the data cannot be read: {error}"}
    if not len(there):
        return {"found": None, "how": "not measured: none of its images is in the data any more"}
    models = _models(workspace, current)
    settings = workspace.settings
    found = evidence.of_requests([request], there, models, runtime(settings))[str(request.id)]
    before = "before is the first model, run 0" if "before" in models else "the first model is gone"
    how = (
        f"when this record was issued, on {len(there):,} of its {len(wanted):,} images; after is "
        f"the model of run {current.number}, {before}"
    )
    return {"found": found, "how": how}


def _still_there(workspace: Workspace, wanted: Mapping[str, str | None]) -> Split:
    """The images with these ids and pixels."""
    data = load_data(workspace.settings, known_images(workspace))
    ids = index.ids_of(data.train)
    at = torch.tensor([i for i, name in enumerate(ids) if name in wanted], dtype=torch.long)
    hashes = [found.hex() for found in content_hashes(data.train, at)]
    same = [wanted[ids[i]] in (None, h) for i, h in zip(at.tolist(), hashes, strict=True)]
    return Split("forget", data.train, at[torch.tensor(same, dtype=torch.bool)])


def _models(workspace: Workspace, current: Run) -> dict[str, nn.Module]:
    models = {"after": runs.read(workspace.run_folder(current.number)).model()}
    if (workspace.run_folder(0) / WEIGHTS).is_file():
        models = {"before": runs.read(workspace.run_folder(0)).model(), **models}
    return models
