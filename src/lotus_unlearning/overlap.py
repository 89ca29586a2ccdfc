"""Images that stand in more than one of the four data sets, found by their content."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lotus_unlearning.files.id_lists import some
from lotus_unlearning.images.sources import Images, ImageTensors, content_hashes, each_hash

_IS_COPY = np.dtype([("of forget", bool), ("of retain", bool)])
_ARE_COPIES = {True: "image is a copy", False: "images are copies"}


@dataclass(frozen=True)
class Overlap:
    """What the data sets share.

    Attributes:
        with_forget: Mask ``[N]`` of the images of each other data set that are to be forgotten.
        warnings: One sentence per thing that spoils a result and is not refused.
    """

    with_forget: dict[str, Tensor]
    warnings: list[str]

    def problems(self) -> list[str]:
        """One sentence for each data set that shares images with forget."""
        found = []
        for name, mask in self.with_forget.items():
            at = mask.nonzero()[:, 0]
            if len(at):
                found.append(
                    f"{name}: expected images that are not in forget, but {len(at)} are the same, "
                    f"at positions {some(at.tolist())}; remove them there or pass "
                    'on_overlap="drop" (--on_overlap drop)'
                )
        return found


def find_overlap(
    train: Images, forget: Tensor, retain: Tensor, others: Mapping[str, Images]
) -> Overlap:
    """Compare by content, so that a copied image is found wherever it stands.

    Args:
        train: All training images. If they are streamed, retained images are not compared, as
            reading them all costs an epoch.
        forget: Positions of those to forget ``[M]``.
        retain: Positions of the others.
        others: Whole data sets that were not trained on, by name.
    """
    forgotten = {*content_hashes(train, forget)}
    kept: list[bytes] = []
    if isinstance(train, ImageTensors):
        kept = content_hashes(train, retain)
    warnings = []
    copies = sum(h in forgotten for h in kept)
    if copies:
        warnings.append(
            f"{copies} retained {_ARE_COPIES[copies == 1]} of images to be forgotten: while they "
            "stay in the training data, their content is not forgotten"
        )
    masks, trained = {}, {*kept}
    for name, images in others.items():
        hashes = each_hash(images, torch.arange(len(images)))
        found = np.fromiter(((h in forgotten, h in trained) for h in hashes), _IS_COPY)
        masks[name] = torch.from_numpy(found["of forget"].copy())
        copies = int(found["of retain"].sum())
        if copies:
            warnings.append(
                f"{copies} {name} {_ARE_COPIES[copies == 1]} of retained images: measured on "
                f"them, every model looks better than it is; remove them from {name}"
            )
    return Overlap(masks, warnings)
