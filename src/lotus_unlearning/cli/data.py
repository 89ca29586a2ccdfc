"""``lotus data``: prepare a data set."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from lotus_unlearning.cli import options, parsing
from lotus_unlearning.cli.options import say
from lotus_unlearning.datasets import mufac, mufac_cleaning
from lotus_unlearning.files import folders

_EXAMPLES = """
lotus data clean-mufac --root custom_korean_family_dataset_resolution_128
lotus data clean-mufac --root faces --out faces-without-copies --distance 0
"""
_ACTIONS = ("clean-mufac",)


def main(words: list[str]) -> None:
    """Write tables of MUFAC without copies; images and the official tables stay as they are."""
    parser = parsing.parser(
        "data",
        "Prepare a data set. clean-mufac: write tables of MUFAC without photos that appear twice, "
        "so that no test or unseen photo was trained on. Images stay where they are.",
        _EXAMPLES,
    )
    parser.add_argument("action", type=str, help=", ".join(_ACTIONS))
    parser.add_argument("--root", type=str | None, default=None, help="folder of the data set")
    parser.add_argument(
        "--out", type=str | None, default=None, help="new folder (default: ROOT/cleaned)"
    )
    parser.add_argument(
        "--distance",
        type=int,
        default=2,
        help="perceptual hashes that differ in at most N of 64 bits are of one photo; 0 is what "
        "the authors of LoTUS use, 2 also finds most photos that were saved or resized again",
    )
    chosen = parsing.parse(parser, words)
    if chosen.action not in _ACTIONS:
        raise ValueError(options.unknown("data", chosen.action, _ACTIONS))
    if not 0 <= chosen.distance < 32:
        raise ValueError(f"distance: expected 0 to 31 bits, got {chosen.distance}")
    _clean_mufac(chosen.root, chosen.out, chosen.distance)


def _clean_mufac(root: str | None, out: str | None, distance: int) -> None:
    tables, images, _ = mufac.find(root, cleaned=False)
    final = folders.destination(out or str(tables / mufac.CLEANED), mufac.CLEANED)
    photos = mufac.read_photos(tables, images)
    say(f"comparing {len(photos):,} photos")
    found = mufac_cleaning.prints(images, photos)
    dropped = mufac_cleaning.find_copies(photos, found, distance=distance)
    persons = mufac_cleaning.linked_persons(photos, found)
    with folders.folder(final) as folder:
        where = os.path.relpath(images.resolve(), final.resolve())
        mufac_cleaning.write_tables(
            folder, photos, dropped, persons, images=Path(where).as_posix(), distance=distance
        )
    print(_report(photos, dropped))
    names = len({photo.person for photo in photos})
    say(f"{names:,} names in the tables are {len({*persons}):,} persons, as equal photos show")
    say(f"tables: {final} (lotus train --data mufac --root {final})")


def _report(photos: Sequence[mufac.Photo], dropped: Sequence[mufac_cleaning.Dropped]) -> str:
    why = tabulate(
        mufac_cleaning.reasons(photos, dropped),
        headers=("dropped from", "copy of one in", "equal pixels", "similar"),
        tablefmt="pipe",
    )
    before = Counter(photo.part for photo in photos)
    lost = Counter(photos[d.photo].part for d in dropped)
    left = [(p, before[p], lost[p], before[p] - lost[p]) for p in mufac_cleaning.PARTS if before[p]]
    counts = tabulate(left, headers=("part", "photos", "dropped", "kept"), tablefmt="pipe")
    return f"{why}\n\n{counts}"
