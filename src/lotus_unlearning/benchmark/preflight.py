"""Before the first cell: is all there that the cells of a grid need, and does it fit together?"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

from lotus_unlearning import models
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.cells import Cell, Original, Setup, setup_of
from lotus_unlearning.benchmark.grid import Grid
from lotus_unlearning.benchmark.materials import Place, build, load
from lotus_unlearning.datasets.files import (
    AbsentDataError,
    NotDownloadedError,
    nothing_downloaded,
)
from lotus_unlearning.jobs.schedule import order, unfinished
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.runtime import choose_device, choose_precision

_WITHOUT_WEIGHTS = "start from fresh ones (--pretrained false), or take blocks without (--blocks)"


@dataclass(frozen=True)
class Findings:
    """What stands in the way of cells.

    Attributes:
        problems: What is wrong, whatever data are there.
        absent: The name of a data set -> what is missing of it, and where to get it.
        later: The name of a data set -> what a run would download of it.
    """

    problems: list[str]
    absent: dict[str, str]
    later: dict[str, str]


@dataclass(frozen=True)
class Ready:
    """What of a grid can be run.

    Attributes:
        grid: The grid with the blocks whose data are there.
        skipped: The names of the others.
        absent: What is missing, and where to get it: a message for each data set.
        later: The name of a data set -> what a run would download of it.
    """

    grid: Grid
    skipped: list[str]
    absent: list[str]
    later: dict[str, str]


def ready(
    grid: Grid,
    store: Store,
    place: Place,
    call: Callable[[Callable[[], Findings]], Findings],
    *,
    may_skip: bool,
    dry: bool = False,
) -> Ready:
    """What of a grid can be run; a block that is finished needs no data.

    Args:
        grid: The grid.
        store: The store with the finished cells.
        place: The device, and the folder of the data sets.
        call: Calls a function where cells run.
        may_skip: Whether blocks whose data are absent may be left out.
        dry: Whether nothing is to be downloaded: neither data nor weights.

    Raises:
        ValueError: If something is wrong; if data are absent and no block may be left out, or none
            would be left. One message says all.
    """
    todo = unfinished(order(grid.cells()), store)
    found = call(partial(look, samples(todo), place, dry))
    waiting = {setup_of(cell) for cell in todo if setup_of(cell).data.name in found.absent}
    skipped = [name for name, block in grid.blocks.items() if block.setup in waiting]
    absent = list(found.absent.values())
    if found.problems or (skipped and not (may_skip and len(skipped) < len(grid.blocks))):
        raise ValueError("\n\n".join([*found.problems, *absent]))
    left = {name: block for name, block in grid.blocks.items() if name not in skipped}
    return Ready(dataclasses.replace(grid, blocks=left), skipped, absent, found.later)


def samples(cells: Iterable[Cell]) -> list[Cell]:
    """One cell of each setup and each way to choose images: others differ in seeds or methods."""
    return list({(setup_of(cell), _way(cell)): cell for cell in cells}.values())


def _way(cell: Cell) -> tuple[object, ...]:
    if isinstance(cell, Original):
        return ()
    return cell.forget.kind, cell.forget.fraction, cell.forget.label


def look(cells: Sequence[Cell], place: Place, dry: bool = False) -> Findings:
    """What stands in the way of ``cells``, to be called where they are to run.

    Of each data set one choice is loaded: who finds it finds the others, too. No model is built but
    those that start from published weights, which have to be had.

    Args:
        cells: One for each setup and way to choose images, see :func:`samples`.
        place: The device, and the folder of the data sets.
        dry: Whether nothing is to be downloaded.
    """
    problems, absent = _said(partial(choose_device, place.device)), dict[str, str]()
    later = dict[str, str]()
    for setup in dict.fromkeys(setup_of(cell) for cell in cells):
        problems += _said(partial(models.check, setup.model, pretrained=setup.pretrained))
        problems += _said(partial(_check_precision, setup, place))
    by_data: dict[str, list[Cell]] = {}
    for cell in cells:
        by_data.setdefault(setup_of(cell).data.name, []).append(cell)
    for name, readers in by_data.items():
        try:
            with nothing_downloaded() if dry else nullcontext():
                problems += _said(partial(_check_data, readers, place))
            if not dry:
                problems += _weights(readers, place)
        except NotDownloadedError as error:
            later[name] = str(error)
        except AbsentDataError as error:
            absent[name] = str(error)
    return Findings(list(dict.fromkeys(problems)), absent, later)


def _said(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except AbsentDataError:
        raise
    except (ValueError, OSError) as error:
        return [str(error)]
    return []


def _check_precision(setup: Setup, place: Place) -> None:
    choose_precision(setup.precision, choose_device(place.device))


def _weights(readers: Sequence[Cell], place: Place) -> list[str]:
    """What hinders to start from published weights, of the setups of one data set."""
    wrong = []
    for setup in dict.fromkeys(map(setup_of, readers)):
        if setup.pretrained and not _said(partial(models.check, setup.model, pretrained=True)):
            data = load(setup.data, place.root)
            found = _said(partial(build, setup, data, 0, pretrained=True))
            wrong += [f"{text}; {_WITHOUT_WEIGHTS}" for text in found]
    return wrong


def _check_data(readers: Sequence[Cell], place: Place) -> None:
    """Of one data set: it is there, and what is to be forgotten can be chosen from it."""
    data = load(setup_of(readers[0]).data, place.root)
    wrong: list[str] = []
    for cell in readers:
        if not isinstance(cell, Original):
            wrong += _said(partial(scenarios.check, cell.forget, data))
    if wrong:
        raise ValueError("\n".join(dict.fromkeys(wrong)))
