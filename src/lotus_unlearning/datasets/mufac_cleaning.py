"""Tables of MUFAC without copies: so that no test or unseen photo was trained on.

Two photos are copies if their decoded pixels are equal, or if their perceptual hashes differ in
few bits (see :mod:`lotus_unlearning.datasets.perceptual`). The authors of LoTUS clean with distance
0 and keep 6,575 training photos (1,062 of them to be forgotten), 1,211 validation and 1,118 test
photos.

Of copies one is kept: where a photo stands in several parts, that in retain rather than in
forget, test or val, in this order, as the authors of LoTUS do; within a part, the first row.
"""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lotus_unlearning.datasets.decoding import decoded
from lotus_unlearning.datasets.mufac import FACTS, TABLES, Photo
from lotus_unlearning.datasets.perceptual import perceptual_hash

PARTS = ("retain", "forget", "test", "val")
"""Where a copy is kept first."""

_PAIR = ("dropped", "dropped_part", "kept", "kept_part", "reason", "distance")


@dataclass(frozen=True)
class Print:
    """What tells that two photos are the same.

    Attributes:
        digest: Of size and pixels.
        bits: Perceptual hash ``[64]``.
    """

    digest: bytes
    bits: NDArray[np.bool_]


@dataclass(frozen=True)
class Dropped:
    """A photo that is left out, and the one that is kept instead.

    Attributes:
        photo: Position of the photo.
        kept: Position of the other.
        distance: Bits in which the hashes differ; ``None``: equal pixels.
    """

    photo: int
    kept: int
    distance: int | None


def prints(images: Path, photos: Sequence[Photo]) -> list[Print]:
    """The prints of all photos, in their order.

    Raises:
        ValueError: If a file is no image.
    """
    return [fingerprint(images / photo.name) for photo in photos]


def fingerprint(path: Path) -> Print:
    """Digest and perceptual hash of one image file."""
    image = decoded(path, "RGB", "mufac")
    digest = blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()
    return Print(digest, perceptual_hash(image))


def find_copies(photos: Sequence[Photo], found: Sequence[Print], *, distance: int) -> list[Dropped]:
    """Which photos to leave out, so that no two of the others are copies.

    Args:
        photos: In the order of the tables.
        found: Their prints.
        distance: Hashes that differ in at most so many of their 64 bits are of one photo; the
            number of bits that differ is even, as each hash has 32 ones.
    """
    order = sorted(range(len(photos)), key=lambda i: PARTS.index(photos[i].part))
    signs = np.array([p.bits for p in found], dtype=np.float32) * 2 - 1
    kept = np.empty_like(signs)
    positions: list[int] = []
    where: dict[bytes, int] = {}
    dropped: list[Dropped] = []
    for i in order:
        twin = where.get(found[i].digest)
        if twin is not None:
            dropped.append(Dropped(i, twin, None))
            continue
        apart = (64 - kept[: len(positions)] @ signs[i]) / 2
        near = int(apart.argmin()) if len(apart) else -1
        if near >= 0 and apart[near] <= distance:
            dropped.append(Dropped(i, positions[near], int(apart[near])))
            continue
        kept[len(positions)] = signs[i]
        positions.append(i)
        where[found[i].digest] = i
    return dropped


def linked_persons(photos: Sequence[Photo], found: Sequence[Print]) -> list[str]:
    """Who is on each photo, with one name for persons that share a photo of equal pixels.

    Families overlap, and the same photos of a person then stand there under several names.
    Whoever forgets that person has to forget all of these.

    Returns:
        For each photo the name that stands first in the tables.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = list(dict.fromkeys(photo.person for photo in photos))
    number = {name: i for i, name in enumerate(names)}
    who = np.array([number[photo.person] for photo in photos])
    what = np.unique([p.digest.hex() for p in found], return_inverse=True)[1] + len(names)
    size = int(what.max()) + 1
    shares = coo_array((np.ones(len(who)), (who, what)), shape=(size, size))
    group = connected_components(shares, directed=False)[1][: len(names)]
    first = {int(g): name for g, name in zip(group[::-1], names[::-1], strict=True)}
    return [first[int(group[i])] for i in who]


def write_tables(
    folder: Path,
    photos: Sequence[Photo],
    dropped: Sequence[Dropped],
    persons: Sequence[str],
    *,
    images: str,
    distance: int,
) -> None:
    """Write the three tables, the list of copies, and the photos to forget.

    Args:
        folder: Exists and is empty.
        photos: All photos.
        dropped: Which of them to leave out.
        persons: Who is on each photo; a column ``identity`` of the tables.
        images: Path from the folder's final place to the images.
        distance: At which copies were found.
    """
    out = {d.photo for d in dropped}
    kept = [i for i in range(len(photos)) if i not in out]
    for part, table in TABLES.items():
        mine = [i for i in range(len(photos)) if photos[i].name.startswith(f"{part}_images/")]
        rows = [(*photos[i].fields.values(), photos[i].part, persons[i]) for i in mine]
        left = [row for i, row in zip(mine, rows, strict=True) if i not in out]
        _write_csv(folder / table, [*photos[mine[0]].fields, "part", "identity"], left)
    pairs = []
    for d in dropped:
        one, other = photos[d.photo], photos[d.kept]
        reason = "equal pixels" if d.distance is None else "similar"
        pairs.append((one.name, one.part, other.name, other.part, reason, d.distance or 0))
    _write_csv(folder / "pairs.csv", _PAIR, pairs)
    forget = [photos[i].name for i in kept if photos[i].part == "forget"]
    if forget:
        (folder / "forget.txt").write_text("\n".join(forget) + "\n", encoding="utf-8")
    counts = Counter(photos[i].part for i in kept)
    facts = {"images": images, "distance": distance, "photos": {p: counts[p] for p in PARTS}}
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def reasons(photos: Sequence[Photo], dropped: Sequence[Dropped]) -> list[tuple[str, str, int, int]]:
    """What was left out and why: part, part of the photo kept instead, equal, similar."""
    equal: Counter[tuple[str, str]] = Counter()
    similar: Counter[tuple[str, str]] = Counter()
    for d in dropped:
        pair = photos[d.photo].part, photos[d.kept].part
        (equal if d.distance is None else similar)[pair] += 1
    pairs = [(a, b) for a in PARTS for b in PARTS if equal[a, b] or similar[a, b]]
    return [(a, b, equal[a, b], similar[a, b]) for a, b in pairs]


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
