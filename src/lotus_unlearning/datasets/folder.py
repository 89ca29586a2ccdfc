"""A folder of images in folders of classes, as torchvision's ``ImageFolder`` reads it."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lotus_unlearning.datasets.data import OF_PHOTOS, Cut, Data, own_parts
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import File, listed, opened
from lotus_unlearning.datasets.photos import as_it_is, photo_size
from lotus_unlearning.images import Images
from lotus_unlearning.images.names import Names

_PARTS = ("train", "unseen", "test", "val")


def load_folder(path: str, *, root: str | None, size: int | None, cut: Cut) -> Data:
    """``path/train``, ``path/test`` and if there is one ``path/unseen``; or ``path`` alone.

    A folder ``val`` is the test part where there is no ``test``, and is not read where there is
    one. Without both, 15% of each class become test images, drawn by ``seed``. Images of any size
    and mode become square and of three channels, without transparency; files and folders whose
    names start with a dot and files of other types are left out. How a camera was held (EXIF) is
    left out too, as in torchvision: a model trained with ``ImageFolder`` saw such photos lying on
    their side, and is to see them so again. Images keep their paths relative to the folder that is
    trained on as names, for files of ids; official ids are positions in torchvision's order. See
    :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If there is no folder or only one class, a class has no images, classes differ
            between parts, there are other parts but none to train on, or an image is damaged.
    """
    folder, name = Path(root or ".") / path, f"imagefolder:{path}"
    if not folder.is_dir():
        raise ValueError(f"imagefolder: expected a folder of images, found none at {str(folder)!r}")
    parts = _parts(folder, may_be_empty=cut.kept is not None)
    first = (parts["train"].names or ())[0]
    size = photo_size(size, lambda _: as_it_is(folder / first))
    classes = parts["train"].classes or ()
    chosen = own_parts(name, parts, classes, (3, size), _with_folders(cut, folder))
    reader = Reader("imagefolder", size, advice="repair or remove it")
    data = opened(chosen, folder, reader, OF_PHOTOS)
    if not (folder / "train").is_dir():
        return data
    train, unseen, test = (_named_in_part(part) for part in (data.train, data.unseen, data.test))
    return replace(data, train=train, unseen=unseen, test=test)


def _with_folders(cut: Cut, folder: Path) -> Cut:
    """``cut`` with names as they are here, where ``train/`` stands before them."""
    if cut.kept is None:
        return cut
    places = _places(folder).values()
    kept = {part: [f"{p}{n}" for p in places for n in names] for part, names in cut.kept.items()}
    return replace(cut, kept=kept)


def _parts(folder: Path, may_be_empty: bool) -> dict[str, Images]:
    """Unread images by part; all of ``folder`` is to train where it has no folder ``train``.

    Args:
        folder: The folder.
        may_be_empty: Whether a class may have lost all of its images.
    """
    places = _places(folder)
    problems: list[str] = []
    parts = {part: _listed(folder, inner, problems, may_be_empty) for part, inner in places.items()}
    if problems:
        raise ValueError(
            f"imagefolder: expected a folder per class, with images in it, in {folder}, but found "
            f"{'; '.join(problems)}; add images or remove the folder"
        )
    classes = parts["train"].classes or ()
    if len(classes) == 1:
        raise ValueError(
            f"imagefolder: expected two classes or more, got {classes[0]!r} alone in "
            f"{folder / places['train']}; images of a class are to be in a folder of its own"
        )
    for part, images in parts.items():
        if images.classes != classes:
            raise ValueError(
                f"imagefolder: expected the same classes in train and {part}, got "
                f"{list(classes)[:5]} and {list(images.classes or ())[:5]}"
            )
    return parts


def _places(folder: Path) -> dict[str, str]:
    """Part -> its folder inside ``folder``, with a slash behind it."""
    there = [part for part in _PARTS if (folder / part).is_dir()]
    if "train" not in there:
        of_folders = [part for part in there if _folders(folder / part)]
        if of_folders:
            raise ValueError(
                f"imagefolder: expected a folder train beside {', '.join(of_folders)} in {folder}, "
                "got none; what a model was trained on is needed to forget some of it"
            )
        return {"train": ""}
    places = {part: f"{part}/" for part in there if part != "val"}
    return {"test": "val/", **places} if "val" in there else places


def _folders(place: Path) -> list[Path]:
    return [p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")]


def _listed(folder: Path, part: str, problems: list[str], may_be_empty: bool) -> Images:
    """Images of one part, named by their paths relative to ``folder``."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    def wanted(path: str) -> bool:
        inner = Path(path).relative_to(place).parts
        return path.lower().endswith(IMG_EXTENSIONS) and not any(p.startswith(".") for p in inner)

    place = folder / part
    _refuse_circles(place)
    classes = sorted(p.name for p in _folders(place))
    number = {name: label for label, name in enumerate(classes)}
    samples = []
    if classes:
        samples = make_dataset(str(place), number, is_valid_file=wanted, allow_empty=True)
    else:
        problems.append(f"no folders of classes in {place}")
    filled = {label for _, label in samples}
    if not (may_be_empty and filled):
        bare = [name for name in classes if number[name] not in filled]
        problems += [f"no images in {place / name}" for name in bare]
    files = [(Path(path).relative_to(folder).as_posix(), label) for path, label in samples]
    _require_text(files, folder)
    return listed(files, tuple(classes))


def _refuse_circles(place: Path) -> None:
    """No folder is there twice: by links in a circle it would be walked without end.

    Raises:
        ValueError: If one is.
    """
    seen: dict[str, str] = {}
    for folder, _, _ in os.walk(place, followlinks=True):
        first = seen.setdefault(os.path.realpath(folder), folder)
        if first != folder:
            raise ValueError(
                f"imagefolder: expected each folder of images once, but by a link {folder} is "
                f"{first} again; remove the link"
            )


def _require_text(files: Sequence[File], place: Path) -> None:
    """Names of files are text, as lists of ids are.

    Raises:
        ValueError: If one is not.
    """
    for name, _ in files:
        if not name.isascii() and name.encode("utf-8", "ignore").decode() != name:
            raise ValueError(
                f"imagefolder: expected names of files in UTF-8, got {os.fsencode(name)!r} in "
                f"{place}; rename it"
            )


def _named_in_part(images: Images) -> Images:
    """``train/CLASS/FILE`` becomes ``CLASS/FILE``."""
    names = Names(name.partition("/")[2] for name in images.names or ())
    return replace(images, names=names)
