"""Which training images are meant: by id, by equal pixels, or by looking alike."""

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lotus_unlearning.datasets.files import images_in
from lotus_unlearning.datasets.perceptual import BITS
from lotus_unlearning.files.id_lists import is_whole, read_ids, some
from lotus_unlearning.requests.entries import Found
from lotus_unlearning.requests.index import Index, Print, distances, print_of_file

_ORDER = {True: ("path", "id", "index"), False: ("id", "index", "path")}
_SHOWN = 10


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes:
        images: One entry for each image that was asked for, and one for each other copy of it.
        near: One entry for each training image that looks like those; a person decides about them.
    """

    images: list[Found]
    near: list[Found]


def search(
    index: Index,
    ids: Sequence[str],
    files: Sequence[str],
    *,
    forgotten: Mapping[str, str | None],
    distance: int,
    new: Callable[[Sequence[str]], Mapping[str, Print]] = lambda names: {},
) -> Search:
    """Find what is asked for.

    Args:
        index: The index of the data.
        ids: Ids or paths in the training data, or names of files of these.
        files: Paths of image files, or of folders of them.
        forgotten: The ids of images that the served model forgot already -> the hash of their
            pixels.
        distance: The largest number of bits in which perceptual hashes of similar images differ.
        new: A function that gives the prints of those among some names that are in the data, though
            the index does not know them.

    Raises:
        ValueError: If something is asked for that is neither a training image nor known to be
            none; one message lists all of it.
    """
    problems: list[str] = []
    asked = _by_ids(index, _expanded(ids, index, problems), new, problems)
    asked += _by_files(index, _files(files, problems), problems)
    if not problems and not asked:
        problems.append("expected at least one image, by id or as a file; got none")
    if problems:
        raise ValueError("; ".join(problems))
    found = _with_copies(index, [image for image, _ in asked])
    near = _near(index, found, [(image.asked, bits) for image, bits in asked], distance)
    return Search(
        [_known(image, forgotten) for image in found], [_known(image, forgotten) for image in near]
    )


def described(near: Sequence[Found]) -> str:
    """Similar images, for a message."""
    shown = [f"{f.image} (like {f.asked}, {f.distance} of 64 bits apart)" for f in near[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(near) > _SHOWN else "")


Asked = tuple[Found, NDArray[np.bool_] | None]
"""What was found, and the perceptual hash of what was asked for where it is known."""


def _expanded(words: Sequence[str], index: Index, problems: list[str]) -> list[str]:
    """``words`` with files of ids replaced by what is in them."""
    known = {*index.train.ids.tolist()}
    found: list[str] = []
    for word in words:
        if is_whole(word) and index.official:
            word = str(int(word))
        if word in known or is_whole(word) or not Path(word).is_file():
            found.append(word)
            continue
        if Path(word).name in images_in(Path(word).parent):
            problems.append(f"{word!r} is an image file: pass it with --images")
            continue
        try:
            columns = read_ids(word)
        except ValueError as error:
            problems.append(str(error))
            continue
        first = next(c for c in ("", *_ORDER[index.official == 0]) if c in columns)
        if not first and columns[first].columns and str(columns[first].values[0]) not in known:
            problems.append(f"expected ids in {word!r}{columns[first].advice([0])}")
            continue
        if not len(columns[first].values):
            problems.append(f"expected ids in {word!r}, which holds none")
        found += [str(value) for value in columns[first].values]
    return found


def _by_ids(
    index: Index,
    words: Sequence[str],
    new: Callable[[Sequence[str]], Mapping[str, Print]],
    problems: list[str],
) -> list[Asked]:
    places = {name: _places(part.ids) for name, part in index.parts.items() if not part.apart}
    found: list[Asked] = []
    unknown = []
    for word in dict.fromkeys(words):
        part = next((name for name in places if word in places[name]), None)
        if part is not None:
            at = places[part][word]
            content, bits = str(index.parts[part].content[at]), index.parts[part].bits[at]
            trained = part == "train"
            image = word if trained else None
            note = "" if trained else f"held as {part} image"
            verdict = "to forget" if trained else "never trained on"
            found.append((Found(word, "id", image, content, verdict, note), bits))  # type: ignore[arg-type]
        elif is_whole(word) and int(word) in range(index.official):
            note = "in the published data set, but left out of the training data"
            found.append((Found(word, "id", None, None, "never trained on", note), None))
        else:
            unknown.append(word)
    try:
        later = new(unknown) if unknown and not index.official else {}
    except ValueError as error:  # the data cannot be read
        later = {}
        problems.append(str(error))
    found += [(_new(_by_content(index, word, what)), what.bits) for word, what in later.items()]
    unknown = [word for word in unknown if word not in later]
    if unknown:
        problems.append(
            f"expected {_kind(index)}, got {len(unknown)} that are not known: {some(unknown)}; "
            "correct them, or pass the images themselves with --images"
            + _meant(unknown, places)
            + _no_files(unknown)
        )
    return found


def _new(image: Found) -> Found:
    """An image that is new since the workspace was made; it may be a copy of an older one."""
    if image.verdict != "not found":
        return image
    note = f"new since the workspace was made; {image.note}"
    return replace(image, found_by="id", verdict="never trained on", note=note)


def _meant(words: Sequence[str], places: Mapping[str, Mapping[str, int]]) -> str:
    """The known path that ends the first of ``words``, as ``0/a.png`` ends ``train/0/a.png``.

    Paths are relative to the folder that is trained on.
    """
    parts = PurePosixPath(posixpath.normpath(words[0].replace("\\", "/"))).parts
    ends = ("/".join(parts[at:]) for at in range(len(parts)))
    near = next((end for end in ends if any(end in known for known in places.values())), None)
    if near is None and "," in words[0]:
        return "; put spaces between them, not commas"
    return "" if near is None else f"; did you mean {near!r}?"


def _no_files(words: Sequence[str]) -> str:
    """Names of lists that are not there."""
    lists = [word for word in words if Path(word).suffix.lower() in (".csv", ".txt")]
    return f"; there is no file {some([repr(word) for word in lists])}" if lists else ""


def _kind(index: Index) -> str:
    if index.official:
        return f"ids 0..{index.official - 1}"
    return f"paths such as {str(index.train.ids[0])!r}"


def _files(words: Sequence[str], problems: list[str]) -> list[Path]:
    """Files as they are, and image files of folders; nothing is left out without a word."""
    found = []
    for word in words:
        path = Path(word)
        if path.is_dir():
            inside = images_in(path)
            other = sorted(
                p.name for p in path.iterdir() if p.name not in inside and p.name[0] != "."
            )
            if other or not inside:
                got = some(other) if other else "none"
                problems.append(
                    f"images: expected .jpg, .jpeg and .png files alone in {word!r}, got {got}; "
                    "pass the images one by one, or move the others away"
                )
            found += [path / name for name in inside]
        elif path.is_file():
            found.append(path)
        else:
            problems.append(f"images: expected an image file or a folder at {word!r}, found none")
    return found


def _by_files(index: Index, files: Sequence[Path], problems: list[str]) -> list[Asked]:
    found: list[Asked] = []
    for path in files:
        try:
            what = print_of_file(path, index)
        except ValueError as error:
            problems.append(str(error))
            continue
        name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
        found.append((_by_content(index, name, what), what.bits))
    return found


def _by_content(index: Index, asked: str, what: Print) -> Found:
    for name, part in index.parts.items():
        at = np.flatnonzero(part.content == what.content) if what.content else np.array([], int)
        if len(at) and name == "train":
            image = str(part.ids[at[0]])
            return Found(asked, "equal pixels", image, what.content, "to forget")
        if len(at):
            note = f"held as {name} image {part.ids[at[0]]}"
            return Found(asked, "equal pixels", None, what.content, "never trained on", note)
    apart = distances(what.bits, index.train.bits)
    nearest = index.train.ids[apart.argmin()]
    why = "no training image has these pixels" if what.content else "pixels cannot be compared here"
    note = f"{why}; the most similar, {nearest}, is {apart.min()} of {BITS} bits apart"
    return Found(asked, "nothing", None, what.content, "not found", note)


def _with_copies(index: Index, images: Sequence[Found]) -> list[Found]:
    """All that were asked for, each training image once; then its copies, of equal pixels."""
    asked: dict[object, Found] = {}
    for image in images:
        key = object() if image.image is None else image.image
        known = asked.get(key)
        if known is None:
            asked[key] = image
        elif image.asked != known.asked:
            note = ", ".join(filter(None, (known.note, f"also asked for as {image.asked}")))
            asked[key] = replace(known, note=note)
    copies: dict[str, Found] = {}
    for image in asked.values():
        if image.image is None or image.content is None:
            continue
        for at in np.flatnonzero(index.train.content == image.content):
            name, note = str(index.train.ids[at]), f"a copy of {image.asked}"
            if name not in asked and name not in copies:
                copies[name] = Found(
                    image.asked, "equal pixels", name, image.content, "to forget", note
                )
    return [*asked.values(), *copies.values()]


def _near(
    index: Index,
    found: Sequence[Found],
    asked: Sequence[tuple[str, NDArray[np.bool_] | None]],
    distance: int,
) -> list[Found]:
    """The nearest first; each training image once."""
    train, taken = index.train, {image.image for image in found}
    rows = []
    for name, bits in asked:
        if bits is None:
            continue
        apart = distances(bits, train.bits)
        rows += [(int(apart[at]), int(at), name) for at in np.flatnonzero(apart <= distance)]
    near: dict[str, Found] = {}
    for bits_apart, at, name in sorted(rows):
        image = str(train.ids[at])
        if image not in taken and image not in near:
            content = str(train.content[at])
            near[image] = Found(name, "similar", image, content, "left", distance=bits_apart)
    return list(near.values())


def _known(image: Found, forgotten: Mapping[str, str | None]) -> Found:
    if image.image is None or image.image not in forgotten:
        return image
    return replace(image, verdict="already forgotten")


def _places(ids: NDArray[np.str_]) -> dict[str, int]:
    return {name: at for at, name in enumerate(ids.tolist())}
