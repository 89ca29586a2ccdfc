"""Which images a model saw, written down so that it can be compared later: by their content.

Ids alone do not tell: with another seed or limit, the same ids are other images.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import torch

from lotus_unlearning import runs
from lotus_unlearning.cli.options import say
from lotus_unlearning.datasets import Data
from lotus_unlearning.images import Images, ImageTensors, StreamedImages, content_hashes
from lotus_unlearning.splits import Split

Found = dict[str, Any]

KEY = "trained_on"
"""In the manifest of a run."""


@dataclass(frozen=True)
class TrainingImages:
    """All images that there are to train on, before any is left out.

    Attributes:
        data: Name of the data set.
        images: How many.
        ids: Digest of their official ids and labels, in any order.
        content: Digest of their pixels and labels, in any order; ``None`` where images are
            streamed, as reading them all costs an epoch.
    """

    data: str
    images: int
    ids: str
    content: str | None

    @classmethod
    def of(cls, data: Data) -> "TrainingImages":
        """Those of a data set."""
        whole = Split("train", data.train, torch.arange(len(data.train)))
        labels = whole.labels.tolist()
        named = (str(name).encode() for name in _called(whole))
        content = None
        if isinstance(data.train, ImageTensors):
            content = _digest(content_hashes(data.train, whole.ids), labels)
        return cls(data.name, len(whole), _digest(named, labels), content)

    @property
    def record(self) -> Found:
        """For the manifest of a run."""
        return asdict(self)

    def differs_from(self, known: Found) -> bool:
        """Whether those in a manifest are others."""
        if self.content is not None and known.get("content") is not None:
            return self.content != str(known["content"])
        return self.ids != str(known.get("ids"))


def _digest(names: Iterable[bytes], labels: list[int]) -> str:
    rows = sorted(name + b" %d" % label for name, label in zip(names, labels, strict=True))
    found, between = blake2b(digest_size=16), b""
    for row in rows:  # joined, they would be in memory twice
        found.update(between + row)
        between = b"\n"
    return found.hexdigest()


def _called(whole: Split) -> Iterable[str] | Iterable[int]:
    """Ids of all images of a source, one after the other: millions of strings are not kept."""
    names = whole.source.names
    return whole.official_ids if names is None else names


def listed(what: str, split: Split | None) -> Found:
    """Ids and content of images that were forgotten or left out, for the manifest of a run."""
    ids = [] if split is None else split.official_ids
    return {what: ids, f"{what}_content": [] if split is None else _content(split)}


def _content(split: Split) -> list[str] | None:
    """One digest per image; ``None`` where each reading gives other pixels."""
    source: Images = split.source
    if isinstance(source, StreamedImages) and source.random:
        return None
    return [digest.hex() for digest in content_hashes(source, split.ids)]


def among(run: runs.Run, what: str, split: Split, here: TrainingImages) -> list[bool]:
    """Which images of ``split`` a run has forgotten or left out, as its manifest says.

    Args:
        run: Trained on the images that ``here`` stands for.
        what: Key of the list: ``"forgotten"``, ``"left_out"``, ...
        split: Images of today.
        here: Their whole.
    """
    ids, content = run.manifest.get(what), run.manifest.get(f"{what}_content")
    if not ids:
        return [False] * len(split)
    same = run.manifest.get(KEY, {}).get("ids") == here.ids
    if same or content is None:
        known = {*ids}
        return [name in known for name in split.official_ids]
    known = {*content}
    return [digest in known for digest in _content(split) or ["" for _ in range(len(split))]]


def require_same(run: runs.Run, here: TrainingImages, options: Any, flag: str) -> None:
    """The run's model was trained on the images that are here.

    Args:
        run: Of the model.
        here: What the options load.
        options: To be named where they differ from those of the run.
        flag: That the run was given by.

    Raises:
        ValueError: If not: what is unseen here may have been trained on.
    """
    known = run.manifest.get(KEY)
    if not isinstance(known, dict):
        say(f"{flag}: {run.path} does not say which images it was trained on: not compared")
        return
    if not here.differs_from(known):
        return
    differing = [
        f"--{key} is {getattr(options, key)} here and {run.config.get(key)} there"
        for key in ("data", "root", "limit", "data_seed", "unseen_from")
        if getattr(options, key) != run.config.get(key)
    ]
    raise ValueError(
        f"{flag}: expected a model that was trained on the {here.images:,} training images of "
        f"{here.data} as chosen here, but {str(run.path)!r} was trained on others "
        f"({known['images']:,} of {known['data']}): "
        + ("; ".join(differing) or "the files have changed since")
        + ". What is unseen here may have been trained on there; leave the options of the data out "
        "to have those of the run"
    )
