"""Before the first cell: is all there that the cells of a grid need?"""

from collections.abc import Iterable, Sequence

from lotus_unlearning.benchmark.cells import Cell, DataChoice, Gold, Original
from lotus_unlearning.benchmark.materials import Place, load
from lotus_unlearning.runtime import choose_device


def choices(cells: Iterable[Cell]) -> list[DataChoice]:
    """One choice of each data set that ``cells`` read: who finds it finds the others, too."""
    found: dict[str, DataChoice] = {}
    for cell in cells:
        setup = cell.setup if isinstance(cell, Original | Gold) else cell.original.setup
        found.setdefault(setup.data.name, setup.data)
    return list(found.values())


def check(wanted: Sequence[DataChoice], place: Place) -> None:
    """The data sets are there, and so is the device.

    Raises:
        ValueError: If not; one message says all that is missing.
    """
    problems = []
    try:
        choose_device(place.device)
    except ValueError as error:
        problems.append(str(error))
    for choice in wanted:
        try:
            load(choice, place.root)
        except (ValueError, OSError) as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n\n".join(problems))
