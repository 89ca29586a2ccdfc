"""What a run starts from: the method, and the union of all images that are to be forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import torch

from lotus_unlearning import datasets, runs
from lotus_unlearning.datasets import Data
from lotus_unlearning.files.id_lists import some
from lotus_unlearning.files.kinds import require
from lotus_unlearning.images import ImageTensors
from lotus_unlearning.images.sources import content_hashes
from lotus_unlearning.methods.settings import method_class, starting_from, with_settings
from lotus_unlearning.requests import entries, index
from lotus_unlearning.requests.canonical import file_digest
from lotus_unlearning.requests.entries import Request, Run
from lotus_unlearning.requests.index import Index, Print
from lotus_unlearning.requests.settings import Settings
from lotus_unlearning.requests.workspace import Workspace
from lotus_unlearning.runtime import Runtime, choose_device, choose_precision
from lotus_unlearning.splits import Split, Splits
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Method

_ADVICE = "change it in lotus.yaml"
_OF_ANOTHER = 3
"""Settings that a method does not have: so many are those of the method that was there before."""


@dataclass(frozen=True)
class Batch:
    """What a run starts from.

    Attributes:
        number: The number of the run.
        before: The run whose model is served.
        pending: The requests that it is to serve.
        earlier: The requests that were served before; their images are forgotten again.
        splits: The images of all these requests as forget, and the others.
        gone: The number of images to forget that are not in the data any more.
    """

    number: int
    before: Run
    pending: list[Request]
    earlier: list[Request]
    splits: Splits
    gone: int

    def new(self) -> Split:
        """The images to forget that no earlier request named."""
        known = {image for request in self.earlier for image in request.to_forget}
        names = [str(name) for name in self.splits.forget.official_ids]
        at = [i for i, name in enumerate(names) if name not in known]
        return self.splits.forget.take(torch.tensor(at, dtype=torch.long))


def method_of(chosen: Settings) -> Method:
    """The method that ``lotus.yaml`` names.

    Raises:
        ValueError: If there is no such method or setting.
    """
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.method.settings.items()}
    try:
        return with_settings(chosen.method.name, values)
    except ValueError as error:
        known = {f.name for f in fields(method_class(chosen.method.name))}
        strange = sorted({key.partition(".")[0] for key in values} - known)
        if len(strange) < _OF_ANOTHER:  # a slip, of which the error has more to say
            raise
        raise ValueError(
            f"method: expected settings of {chosen.method.name} in lotus.yaml, got "
            f"{some(strange)}, as another method has; write `settings: {{}}` for its defaults"
        ) from error


def recipe_of(chosen: Settings) -> Recipe:
    """The recipe of ``--retrain``.

    Raises:
        ValueError: If it has unknown settings, or some of another kind or out of range.
    """
    require("recipe", chosen.recipe, Recipe, "settings of training", _ADVICE)
    return Recipe(**chosen.recipe)


def architecture_of(chosen: Settings) -> runs.Architecture:
    """How the served model is built.

    Raises:
        ValueError: If something is lacking or of another kind.
    """
    what = "how the model is built"
    require("architecture", chosen.architecture, runs.Architecture, what, _ADVICE)
    return runs.Architecture(**chosen.architecture)


def runtime(chosen: Settings) -> Runtime:
    """For predictions, in float32: measures should not depend on the hardware."""
    place = choose_device(chosen.device)
    return Runtime(place, choose_precision("float32", place), chosen.batch_size)


def load_data(chosen: Settings, known: Index | None = None) -> Data:
    """The data that ``lotus.yaml`` names.

    Args:
        chosen: The settings.
        known: The index that was made of them: images are in the parts that they were in then, and
            new ones in none. ``None``: there is none yet, and parts are drawn.
    """
    kept = None if known is None else known.names()
    return datasets.load(**asdict(chosen.data), kept=kept)


def known_images(workspace: Workspace) -> Index:
    """The images that the workspace was made of, from the index that was written then.

    Raises:
        ValueError: If the index is missing, damaged or another one.
    """
    path = workspace.folder / index.FILE
    known = entries.runs(workspace.db)[0].record.get("index_sha256")  # older ledgers do not say
    if known is not None and path.is_file() and (found := file_digest(path)) != known:
        raise ValueError(
            f"{path}: expected the file with SHA-256 {known[:12]}..., got {found[:12]}...; it was "
            "changed after the workspace was made: restore it from a backup"
        )
    return index.load(path)


def new_images(chosen: Settings, names: Sequence[str]) -> dict[str, Print]:
    """The prints of those images among ``names`` that the data hold now.

    Only these are read, and no part is drawn: for images that the index does not know.
    """
    kept = {part: names for part in index.PARTS}
    return index.prints(datasets.load(**asdict(chosen.data), kept=kept), names)


def plan(
    workspace: Workspace, chosen: Settings, before: Run, pending: list[Request], retrain: bool
) -> Batch:
    """The union of all that was and is to be forgotten, found in the data.

    Raises:
        ValueError: If the data are not those the model was trained on, or lack pending images.
    """
    known = known_images(workspace)
    data = load_data(chosen, known)
    problems = index.changes(known, data)
    there = {*index.ids_of(data.train)}
    asked = {image for request in pending for image in request.to_forget}
    lacking = sorted(asked - there)
    if lacking and not retrain:
        problems.append(
            f"data: expected the images that are to be forgotten, but {some(lacking)} are "
            "not there any more; put them back until they are forgotten, or use --retrain"
        )
    union = {**entries.forgotten(workspace.db)}
    for request in pending:
        union |= request.to_forget
    ids = [image for image in union if image in there]
    if not ids:
        problems.append(
            "data: expected at least one image to forget that is still there, to measure on, got "
            "none; put one back until the run is done"
        )
    if problems:
        raise ValueError("; ".join(problems))
    splits = Splits.from_ids(data, ids, on_overlap="drop")
    _require_same_pixels(splits, union, known)
    splits = _without_those_asked_for(splits, known, entries.requests(workspace.db))
    served = {number for run in entries.runs(workspace.db, "served") for number in run.requests}
    earlier = [
        request
        for request in entries.requests(workspace.db)
        if request.id in served or request.state == "served"
    ]
    number = entries.runs(workspace.db)[-1].number + 1
    return Batch(number, before, pending, earlier, splits, len(union) - len(ids))


def _require_same_pixels(splits: Splits, union: Mapping[str, str | None], known: Index) -> None:
    """Images are what they were when the workspace was made: a name alone may hold another image.

    Of images that are read one by one only those to forget are looked at: the others cost an epoch.
    """
    wanted, parts = {**union}, [splits.forget]
    if isinstance(splits.retain.source, ImageTensors):
        listed = known.parts["train"]
        wanted = {**dict(zip(listed.ids.tolist(), listed.content.tolist(), strict=True)), **wanted}
        parts.append(splits.retain)
    other = [
        name
        for part in parts
        for name, found in _contents(part).items()
        if wanted.get(name) not in (None, "", found)
    ]
    if other:
        raise ValueError(
            f"data: expected the images that the workspace was made of, but {some(other)} have "
            "other pixels than then; put the old files back"
        )


def _contents(part: Split) -> dict[str, str]:
    """Name -> the hash of the pixels."""
    hashes = content_hashes(part.source, part.ids)
    return {str(n): h.hex() for n, h in zip(part.official_ids, hashes, strict=True)}


def _without_those_asked_for(splits: Splits, known: Index, requests: Sequence[Request]) -> Splits:
    """Unseen and test images that somebody wants deleted are not used any more, either."""
    wanted = {
        image.content
        for request in requests
        if request.state != "withdrawn" and not (request.state == "refused" and request.to_forget)
        for image in request.images
        if image.verdict == "never trained on" and image.content is not None
    }
    parts = {}
    for name in ("unseen", "test"):
        part, listed = getattr(splits, name), known.parts[name]
        content = dict(zip(listed.ids.tolist(), listed.content.tolist(), strict=True))
        keep = [content[str(image)] not in wanted for image in part.official_ids]
        parts[name] = part.take(torch.tensor(keep, dtype=torch.bool).nonzero()[:, 0])
    return replace(splits, **parts)


def from_start(method: Method, chosen: Settings, number: int) -> Method:
    """What trains anew begins from published weights, if the model began there."""
    if not chosen.pretrained:
        return method
    seed = Runtime(seed=chosen.seed + number).draw_seed()
    return starting_from(method, lambda: architecture_of(chosen).build(pretrained=True, seed=seed))
