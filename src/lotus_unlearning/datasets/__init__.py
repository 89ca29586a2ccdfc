"""Data sets by name: real images, with some of them set aside as never trained on."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from lotus_unlearning.datasets.cifar import load_cifar10, load_cifar100
from lotus_unlearning.datasets.data import Data, Preprocess
from lotus_unlearning.datasets.digits import load_digits
from lotus_unlearning.datasets.fashion_mnist import load_fashion_mnist
from lotus_unlearning.datasets.folder import load_folder
from lotus_unlearning.datasets.function import load_function

__all__ = ["DATASETS", "Data", "DatasetInfo", "Preprocess", "load"]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known about a data set before it is loaded.

    Attributes:
        load: Reads it; see :func:`load` for the arguments.
        about: What the images show, how many, how large.
        get: Where the files come from.
        source: Whom to cite.
    """

    load: Callable[..., Data]
    about: str
    get: str
    source: str


DATASETS = {
    "digits": DatasetInfo(
        load=load_digits,
        about="1,797 grey 8x8 images of handwritten digits, 10 classes",
        get="ships with scikit-learn",
        source="Alpaydin and Kaynak, 1998, UCI Machine Learning Repository",
    ),
    "fashion-mnist": DatasetInfo(
        load=load_fashion_mnist,
        about="70,000 grey 28x28 images of clothes, 10 classes",
        get="Debian's package dataset-fashion-mnist, or torchvision downloads it",
        source="Xiao, Rasul and Vollgraf, 2017, arXiv 1708.07747",
    ),
    "cifar-10": DatasetInfo(
        load=load_cifar10,
        about="60,000 colour 32x32 photos, 10 classes",
        get="torchvision downloads it",
        source="Krizhevsky, 2009, Learning multiple layers of features from tiny images",
    ),
    "cifar-100": DatasetInfo(
        load=load_cifar100,
        about="60,000 colour 32x32 photos, 100 classes",
        get="torchvision downloads it",
        source="Krizhevsky, 2009, Learning multiple layers of features from tiny images",
    ),
    "imagefolder:PATH": DatasetInfo(
        load=load_folder,
        about="your images: PATH/train/CLASS/*.png and PATH/test/CLASS/*.png, or PATH/CLASS/*.png",
        get="yours",
        source="",
    ),
    "python:MODULE:FUNCTION": DatasetInfo(
        load=load_function,
        about="your code: FUNCTION() returns a Data, or train, unseen and test sets",
        get="yours",
        source="",
    ),
}


def load(
    name: str,
    *,
    root: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    unseen_share: float | None = None,
    size: int | None = None,
) -> Data:
    """Load a data set; same arguments, same images in the same order.

    Args:
        name: A key of ``DATASETS``, ``imagefolder:PATH`` or ``python:MODULE:FUNCTION``.
        root: Folder of the files, where there are files.
        seed: Chooses unseen images and, with ``limit``, training images; both stratified.
        limit: At most so many training images; unseen images shrink with them, test stays whole.
        unseen_share: Of the official training images, where there are no unseen ones; default:
            15%, for digits 300 images.
        size: Height and width of the model's input in pixels; default: the images' own.

    Raises:
        ValueError: If the name is unknown, files are missing or broken, or a number is out of
            range.

    >>> data = load("digits")
    >>> len(data.train), len(data.unseen), len(data.test), data.channels, data.image_size
    (1197, 300, 300, 1, 8)
    """
    kind, _, rest = name.partition(":")
    options = {"seed": seed, "limit": limit, "unseen_share": unseen_share, "size": size}
    if kind in ("imagefolder", "python") and rest:
        known = {key.partition(":")[0]: info for key, info in DATASETS.items()}
        return known[kind].load(rest, root=root, **options)
    if name not in DATASETS or kind in ("imagefolder", "python"):
        near = difflib.get_close_matches(name.lower(), DATASETS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"data: expected one of {', '.join(DATASETS)}; got {name!r}{hint}")
    return DATASETS[name].load(root=root, **options)
