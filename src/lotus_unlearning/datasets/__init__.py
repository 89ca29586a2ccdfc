"""Data sets by name: real images, with some of them set aside as never trained on."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lotus_unlearning.datasets.cifake import load_cifake
from lotus_unlearning.datasets.cifar import load_cifar10, load_cifar100
from lotus_unlearning.datasets.data import Cut, Data, Part, Preprocess
from lotus_unlearning.datasets.digits import load_digits
from lotus_unlearning.datasets.elpv import load_elpv
from lotus_unlearning.datasets.fashion_mnist import load_fashion_mnist
from lotus_unlearning.datasets.folder import load_folder
from lotus_unlearning.datasets.function import load_function
from lotus_unlearning.datasets.hugging_face import load_hugging_face
from lotus_unlearning.datasets.imagenet import load_imagenet1k
from lotus_unlearning.datasets.mislabelled import load_mislabelled
from lotus_unlearning.datasets.mufac import load_mufac
from lotus_unlearning.datasets.tiny_imagenet import load_tiny_imagenet
from lotus_unlearning.datasets.webdataset import load_webdataset
from lotus_unlearning.wording import did_you_mean

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
    "digits-mislabelled": DatasetInfo(
        load=load_mislabelled,
        about="digits, but one in ten training images has a wrong label; --forget official names "
        "them",
        get="ships with scikit-learn; the wrong labels are drawn here",
        source="as digits",
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
        get="torchvision downloads it (170 MB)",
        source="Krizhevsky, 2009, Learning multiple layers of features from tiny images",
    ),
    "cifar-100": DatasetInfo(
        load=load_cifar100,
        about="60,000 colour 32x32 photos, 100 classes",
        get="torchvision downloads it (169 MB)",
        source="Krizhevsky, 2009, Learning multiple layers of features from tiny images",
    ),
    "cifake": DatasetInfo(
        load=load_cifake,
        about="CIFAR-10 to train and test, 10,000 synthetic images of its classes as unseen",
        get="CIFAR-10 as above, and Kaggle: birdy654/cifake-real-and-ai-generated-synthetic-images "
        "(105 MB)",
        source="Bird and Lotfi, 2024, arXiv 2303.14126",
    ),
    "tiny-imagenet": DatasetInfo(
        load=load_tiny_imagenet,
        about="110,000 colour 64x64 photos, 200 classes",
        get="Stanford's course CS231n: tiny-imagenet-200.zip (248 MB)",
        source="Le and Yang, 2015, Tiny ImageNet visual recognition challenge",
    ),
    "mufac": DatasetInfo(
        load=load_mufac,
        about="13,068 colour 128x128 photos of faces, 8 classes of age, with the person on each; "
        "clean it first: lotus data clean-mufac",
        get="by the link in the README of ndb796/MachineUnlearning on GitHub",
        source="Choi and Na, 2023, arXiv 2311.02240",
    ),
    "imagenet1k": DatasetInfo(
        load=load_imagenet1k,
        about="1,281,167 training and 50,000 validation photos at 224x224, 1,000 classes; unseen "
        "and test images are halves of the validation part; --limit 50000: 50 of each class",
        get="image-net.org, with an account (148 GB and 6.7 GB), or Kaggle",
        source="Russakovsky et al., 2015, IJCV 115",
    ),
    "elpv": DatasetInfo(
        load=load_elpv,
        about="2,624 grey photos of solar cells at 64x64 (of 300x300), 4 probabilities of a "
        "defect; for non-commercial use",
        get="pip install elpv-dataset (91 MB)",
        source="Buerhop-Lutz et al., 2018, EU PVSEC; Deitsch et al., 2019, Solar Energy 185",
    ),
    "imagefolder:PATH": DatasetInfo(
        load=load_folder,
        about="your images: PATH/train/CLASS/*.png and PATH/test/CLASS/*.png (or val instead of "
        "test), or PATH/CLASS/*.png",
        get="yours",
        source="",
    ),
    "webdataset:PATTERN": DatasetInfo(
        load=load_webdataset,
        about="your tar shards, of samples KEY.jpg (or .png, ...) and KEY.cls: "
        "shards/train-{000..099}.tar, s3://bucket/train-{000..099}.tar or a folder; shards called "
        "test (or val) and unseen in place of train are these parts",
        get="yours",
        source="https://github.com/webdataset/webdataset",
    ),
    "hf:NAME": DatasetInfo(
        load=load_hugging_face,
        about="a data set of Hugging Face's hub, or a folder that its library saved; splits and "
        "columns may be named: hf:NAME:test=validation,label=fine_label",
        get="pip install 'lotus-unlearning[hf]'; the library downloads it",
        source="Lhoest et al., 2021, Datasets: A Community Library for Natural Language Processing",
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
    unseen_from: Part = "train",
    size: int | None = None,
    kept: Mapping[str, Collection[str]] | None = None,
) -> Data:
    """Load a data set; same arguments, same images in the same order.

    Whatever ``seed`` and ``limit`` draw, images keep their official ids (positions in the data set
    as it is published), by which :meth:`lotus_unlearning.splits.Splits.from_ids` finds them.

    Args:
        name: A key of ``DATASETS``, with your own words in place of those in capitals.
        root: Folder of the files, where there are files.
        seed: Chooses unseen images and, with ``limit``, training images; both stratified.
        limit: At most so many training images; unseen images shrink with them (not imagenet1k's).
        unseen_share: Of the part that unseen images are taken from; default: 15% of train (for
            digits 300 images), half of test, or half of imagenet1k's validation images.
        unseen_from: ``"test"`` takes unseen images from the official test images and trains on
            all official training images, as the LoTUS paper cuts CIFAR and Tiny-ImageNet.
        size: Height and width of the model's input in pixels; default: the images' own.
        kept: Names of the images in ``"train"``, ``"unseen"`` and ``"test"``, as an earlier call
            drew them. Then nothing is drawn, files may be gone or new meanwhile, and what has
            another name is in no part. Only for image folders, tar shards and your own code, where
            images have names.

    Raises:
        ValueError: If the name is unknown, files are missing or broken, or a value does not fit.

    >>> data = load("digits")
    >>> len(data.train), len(data.unseen), len(data.test), data.channels, data.image_size
    (1197, 300, 300, 1, 8)
    """
    kind, _, rest = name.partition(":")
    cut = Cut(seed=seed, limit=limit, unseen_share=unseen_share, unseen_from=unseen_from, kept=kept)
    yours = {key.partition(":")[0]: info for key, info in DATASETS.items() if ":" in key}
    if kind in yours and rest:
        return yours[kind].load(rest, root=root, size=size, cut=cut)
    if name not in DATASETS or kind in yours:
        hint = did_you_mean(name, DATASETS)
        raise ValueError(f"data: expected one of {', '.join(DATASETS)}; got {name!r}{hint}")
    return DATASETS[name].load(root=root, size=size, cut=cut)
