"""Before the first cell: is all there that the cells of a grid need, and does it fit together?"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from lotus_unlearning import models
from lotus_unlearning.benchmark import scenarios
from lotus_unlearning.benchmark.cells import (
    Cell,
    DataChoice,
    Original,
    Reference,
    Setup,
    Unlearning,
    setup_of,
)
from lotus_unlearning.benchmark.contents import contents, differ
from lotus_unlearning.benchmark.grid import Grid
from lotus_unlearning.benchmark.materials import Place, build, load
from lotus_unlearning.datasets.files import (
    AbsentDataError,
    NotDownloadedError,
    nothing_downloaded,
)
from lotus_unlearning.jobs.schedule import order, unfinished
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.methods.settings import starts_anew
from lotus_unlearning.runtime import choose_device, choose_precision

_WITHOUT_WEIGHTS = "start from fresh ones (--pretrained false), or take blocks without (--blocks)"


@dataclass(frozen=True)
class Findings:
    """What stands in the way of cells.

    Attributes:
        problems: What is wrong, whatever data are there.
        absent: The name of a data set -> what is missing of it, and where to get it.
        without_weights: A setup that starts from published weights -> why these cannot be had.
        later: The name of a data set -> what a run would download of it.
    """

    problems: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    without_weights: dict[Setup, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """What of a grid can be run.

    Attributes:
        grid: The grid with the blocks whose data and published weights are there.
        skipped: The names of the others.
        absent: What is missing, and where to get it: a message for each data set and model.
        later: The name of a data set or model -> what a run would download, after a dry look.
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
        may_skip: Whether blocks that lack data or weights may be left out.
        dry: Whether nothing is to be downloaded: neither data nor weights.

    Raises:
        ValueError: If something is wrong; if data or weights are absent and no block may be left
            out, or none would be left. One message says all.
    """
    cells = order(grid.cells())
    todo = unfinished(cells, store)
    begun = list(dict.fromkeys(setup_of(cell) for cell in todo if _begins(cell)))
    needed = [] if dry else begun
    found = call(partial(look, samples(todo), place, dry, _seen(cells, store), needed))
    waiting = {setup_of(cell) for cell in todo if setup_of(cell).data.name in found.absent}
    waiting |= found.without_weights.keys()
    skipped = [name for name, block in grid.blocks.items() if block.setup in waiting]
    absent = list(dict.fromkeys([*found.absent.values(), *found.without_weights.values()]))
    if found.problems or (skipped and not (may_skip and len(skipped) < len(grid.blocks))):
        raise ValueError("\n\n".join([*found.problems, *absent]))
    left = {name: block for name, block in grid.blocks.items() if name not in skipped}
    weights = {
        setup.model: f"{setup.model}: published weights that are not there yet would be downloaded"
        for setup in begun
    }
    later = {**found.later, **weights} if dry else {}
    return Ready(replace(grid, blocks=left), skipped, absent, later)


def _begins(cell: Cell) -> bool:
    """Whether it starts from published weights, and not from those of another cell."""
    if not setup_of(cell).pretrained or isinstance(cell, Reference):
        return False
    return not isinstance(cell, Unlearning) or starts_anew(cell.method)


Seen = Mapping[DataChoice, set[str]]
"""A choice of data -> digests of the images that finished cells were made with."""


def _seen(cells: Iterable[Cell], store: Store) -> Seen:
    """What finished cells say of their data."""
    seen: dict[DataChoice, set[str]] = {}
    for cell in cells:
        record = store.record(cell) or {}
        if "data" in record:
            seen.setdefault(setup_of(cell).data, set()).add(record["data"])
    return seen


def samples(cells: Iterable[Cell]) -> list[Cell]:
    """One cell of each setup and each way to choose images: others differ in seeds or methods."""
    return list({(setup_of(cell), _way(cell)): cell for cell in cells}.values())


def _way(cell: Cell) -> tuple[object, ...]:
    if isinstance(cell, Original):
        return ()
    return cell.forget.kind, cell.forget.fraction, cell.forget.label


def look(
    cells: Sequence[Cell],
    place: Place,
    dry: bool = False,
    seen: Seen | None = None,
    begun: Sequence[Setup] = (),
) -> Findings:
    """What stands in the way of ``cells``, to be called where they are to run.

    Of each data set one choice is loaded: who finds it finds the others, too. No model is built but
    those of ``begun``.

    Args:
        cells: One for each setup and way to choose images, see :func:`samples`.
        place: The device, and the folder of the data sets.
        dry: Whether nothing is to be downloaded.
        seen: Digests of the data that finished cells were made with.
        begun: Setups whose published weights are needed.
    """
    found = Findings(_said(partial(choose_device, place.device)))
    problems = found.problems
    for setup in dict.fromkeys(setup_of(cell) for cell in cells):
        problems += _said(partial(models.check, setup.model, pretrained=setup.pretrained))
        problems += _said(partial(_check_precision, setup, place))
    by_data: dict[str, list[Cell]] = {}
    for cell in cells:
        by_data.setdefault(setup_of(cell).data.name, []).append(cell)
    for name, readers in by_data.items():
        try:
            with nothing_downloaded() if dry else nullcontext():
                problems += _said(partial(_check_data, readers, place, seen or {}))
        except NotDownloadedError as error:
            found.later[name] = str(error)
        except AbsentDataError as error:
            found.absent[name] = str(error)
    if not problems:
        for setup in begun:
            if setup.data.name not in found.absent:  # whether it fits the images at all
                problems += _said(partial(_built, setup, place))
    if not problems:
        here = [setup for setup in begun if setup.data.name not in found.absent]
        found.without_weights.update(_without_weights(here, place))
    return replace(found, problems=list(dict.fromkeys(problems)))


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


def _built(setup: Setup, place: Place) -> None:
    build(setup, load(setup.data, place.root), 0, pretrained=False)


def _without_weights(setups: Iterable[Setup], place: Place) -> Iterator[tuple[Setup, str]]:
    """Setups whose published weights cannot be had, and why."""
    for setup in setups:
        try:
            build(setup, load(setup.data, place.root), 0, pretrained=True)
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: a hash that is wrong
            advice = "" if setup.recipe is None else f"; {_WITHOUT_WEIGHTS}"
            yield setup, f"{setup.data.name}: {error}{advice}"


def _check_data(readers: Sequence[Cell], place: Place, seen: Seen) -> None:
    """Of one data set: there, as it was, and what is to be forgotten can be chosen from it."""
    data = load(setup_of(readers[0]).data, place.root)
    wrong: list[str] = []
    for choice in dict.fromkeys(setup_of(cell).data for cell in readers):
        today = contents(choice, place.root) if choice in seen else ""
        if any(differ(today, known) for known in seen.get(choice, ())):
            wrong.append(
                f"{choice.name}: expected the images that the finished cells were made with, "
                "got others, with which these cannot be compared; put the images back as they "
                "were, or give another folder (--out)"
            )
    for cell in readers:
        if not isinstance(cell, Original):
            wrong += _said(partial(scenarios.check, cell.forget, data))
    if wrong:
        raise ValueError("\n".join(dict.fromkeys(wrong)))
