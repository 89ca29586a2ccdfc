"""A folder of images in folders of classes, as torchvision's ``ImageFolder`` reads it."""

from dataclasses import replace
from pathlib import Path

from lotus_unlearning.datasets.data import (
    Cut,
    Data,
    Preprocess,
    assemble,
    carve,
    forbid_unseen_from_test,
)
from lotus_unlearning.datasets.files import Reader, listed, opened
from lotus_unlearning.images import Images

_PREPROCESS = Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # as for ImageNet
_DEFAULT_SIZE = 224
_TEST_SHARE = 0.15


def load_folder(path: str, *, root: str | None, size: int | None, cut: Cut) -> Data:
    """``path/train``, ``path/test`` and if there is one ``path/unseen``; or ``path`` alone.

    Without a ``test`` folder, 15% of each class become test images, drawn by ``seed``. Images of
    any size and mode become square and of three channels, without transparency; files and folders
    whose names start with a dot and files of other types are left out. Images keep their paths
    relative to the folder that is trained on as names, for files of ids. See
    :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If there is no folder, a class has no images, classes differ between parts, or
            an image is damaged.
    """
    folder, name = Path(root or ".") / path, f"imagefolder:{path}"
    if not folder.is_dir():
        raise ValueError(f"imagefolder: expected a folder of images, found none at {str(folder)!r}")
    parts = _parts(folder)
    train, test = parts["train"], parts.get("test")
    classes = train.classes or ()
    if test is None:
        forbid_unseen_from_test(cut, name, "has no folder test")
        train, test = carve(train, _TEST_SHARE, cut.seed)
    size = size or _DEFAULT_SIZE
    chosen = assemble(name, train, test, classes, (3, size), cut, parts.get("unseen"))
    reader = Reader("imagefolder", size, advice="repair or remove it")
    data = opened(chosen, folder, reader, _PREPROCESS)
    if not (folder / "train").is_dir():
        return data
    train, unseen, test = (_named_in_part(part) for part in (data.train, data.unseen, data.test))
    return replace(data, train=train, unseen=unseen, test=test)


def _parts(folder: Path) -> dict[str, Images]:
    """Unread images by part; all of ``folder`` is to train where it has no folder ``train``."""
    names = [part for part in ("train", "unseen", "test") if (folder / part).is_dir()]
    problems: list[str] = []
    if "train" in names:
        parts = {part: _listed(folder, f"{part}/", problems) for part in names}
    else:
        parts = {"train": _listed(folder, "", problems)}
    if problems:
        raise ValueError(
            f"imagefolder: expected a folder per class, with images in it, in {folder}, but found "
            f"{'; '.join(problems)}; add images or remove the folder"
        )
    classes = parts["train"].classes or ()
    for part, images in parts.items():
        if images.classes != classes:
            raise ValueError(
                f"imagefolder: expected the same classes in train and {part}, got "
                f"{list(classes)[:5]} and {list(images.classes or ())[:5]}"
            )
    return parts


def _listed(folder: Path, part: str, problems: list[str]) -> Images:
    """Images of one part, named by their paths relative to ``folder``."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    def wanted(path: str) -> bool:
        inner = Path(path).relative_to(place).parts
        return path.lower().endswith(IMG_EXTENSIONS) and not any(p.startswith(".") for p in inner)

    place = folder / part
    folders = [p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")]
    classes = sorted(p.name for p in folders)
    number = {name: label for label, name in enumerate(classes)}
    samples = []
    if classes:
        samples = make_dataset(str(place), number, is_valid_file=wanted, allow_empty=True)
    else:
        problems.append(f"no folders of classes in {place}")
    filled = {label for _, label in samples}
    problems += [f"no images in {place / name}" for name in classes if number[name] not in filled]
    files = [(Path(path).relative_to(folder).as_posix(), label) for path, label in samples]
    return listed(files, tuple(classes))


def _named_in_part(images: Images) -> Images:
    """``train/CLASS/FILE`` becomes ``CLASS/FILE``."""
    names = tuple(name.partition("/")[2] for name in images.names or ())
    return replace(images, names=names)
