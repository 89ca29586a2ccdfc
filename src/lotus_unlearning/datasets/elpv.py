"""ELPV: electroluminescence photos of solar cells, from its Python package or a folder.

Source: Buerhop-Lutz et al., 2018, A Benchmark for Visual Identification of Defective Solar Cells
in Electroluminescence Imagery, EU PVSEC; Deitsch et al., 2019, Solar Energy 185, and 2021,
Machine Vision and Applications 32.
"""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from lotus_unlearning.datasets.data import (
    Cut,
    Data,
    Preprocess,
    assemble,
    carve,
    forbid_unseen_from_test,
    numbered,
)
from lotus_unlearning.datasets.decoding import Reader
from lotus_unlearning.datasets.files import File, folder_with, listed, missing, opened
from lotus_unlearning.datasets.tables import is_inside, lines_of
from lotus_unlearning.ids import some

_NAME = "elpv"
_SIZE = 64
_TEST_SHARE = 0.15
_CLASSES = ("defect 0", "defect 1/3", "defect 2/3", "defect 1")
_PREPROCESS = Preprocess((0.597,), (0.161,))  # of all pixels of the 2,624 photos
_GET = (
    "the Python package elpv-dataset (pip install elpv-dataset, 91 MB), after which no --root is "
    "needed, or its files from the repository zae-bayern/elpv-dataset on GitHub"
)
_LAYOUT = """\
labels.csv           (path, defect probability and cell type, between spaces)
images/cell*.png"""


def load_elpv(*, root: str | None, size: int | None, cut: Cut) -> Data:
    """2,624 grey photos of solar cells; a class is the probability that the cell is defective.

    The probabilities are 0, 1/3, 2/3 and 1, as experts judged: 1508, 295, 106 and 715 photos.
    There is no official test set, so 15% of each class are drawn by ``seed``. Photos of 300 x 300
    pixels are resized to 64 while they are read, so that small networks train in minutes; cracks
    are finer than that, so give a larger ``size`` where accuracy matters. Names are paths such as
    ``images/cell0001.png``, official ids are rows of ``labels.csv``, from 0. See
    :func:`lotus_unlearning.datasets.load`.

    Raises:
        ValueError: If neither package nor folder is there, or a file is no image.
    """
    forbid_unseen_from_test(cut, _NAME, "has no official test part")
    folder, source = _find(root)
    files, problems = _labels(folder)
    if problems:
        raise missing(_NAME, folder, problems, _GET, _LAYOUT)
    size = size or _SIZE
    rest, test = carve(numbered(listed(files, _CLASSES)), _TEST_SHARE, cut.seed)
    chosen = assemble(_NAME, rest, test, _CLASSES, (1, size), cut)
    reader = Reader(_NAME, size, grey=True)
    return replace(opened(chosen, folder, reader, _PREPROCESS), source=source)


def _find(root: str | None) -> tuple[Path, str]:
    """The folder of labels.csv; without a root that of the package, if it is installed."""
    package = find_spec("elpv_dataset") if root is None else None
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / "data", "the package elpv-dataset"
    folder = folder_with(root, ["data", "src/elpv_dataset/data"], ["labels.csv"])
    return folder, f"the folder {folder}"


def _labels(folder: Path) -> tuple[list[File], list[str]]:
    table = folder / "labels.csv"
    problems: list[str] = []
    rows = [line.split() for line in lines_of(table, problems)]
    labels = [_label(cells) for cells in rows]
    odd = [" ".join(cells) for cells, label in zip(rows, labels, strict=True) if label is None]
    files = [(c[0], label) for c, label in zip(rows, labels, strict=True) if label is not None]
    absent = [name for name, _ in files if not (folder / name).is_file()]
    if odd or (not rows and not problems):
        problems.append(f"labels.csv: no path, probability and type in {some(odd) or 'it'}")
    if absent:
        problems.append(f"images: absent are {some(absent)}")
    return files, problems


def _label(cells: list[str]) -> int | None:
    """Number of thirds in the probability; nothing where the row is of another form."""
    try:
        thirds = 3 * float(cells[1])
    except (IndexError, ValueError):
        return None
    if len(cells) != 3 or not is_inside(cells[0]) or not -0.5 < thirds < 3.5:
        return None
    return round(thirds) if abs(thirds - round(thirds)) < 0.01 else None
