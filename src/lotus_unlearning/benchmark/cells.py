"""What a benchmark runs: cells, each named by everything that determines its result.

They are jobs, see :mod:`lotus_unlearning.jobs.job`.
"""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Literal

from lotus_unlearning.benchmark.canonical import canonical
from lotus_unlearning.benchmark.records import read_comparison, read_record
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Method

FORMAT = 1
"""Part of every name. To be raised when code changes what earlier cells would give today."""

Kind = Literal["random", "class", "group", "official", "memorised", "near-duplicates"]
HARD = ("memorised", "near-duplicates")


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """Arguments of :func:`lotus_unlearning.datasets.load` that change what is loaded.

    Attributes:
        name: The name of the data set.
        limit: The largest number of training images; ``None``: all of them.
        size: Height and width of the model's input in pixels; ``None``: as the data set has it.
        seed: The seed that chooses unseen images and, with ``limit``, training images.
        unseen_from: The official part that unseen images are taken from.
    """

    name: str
    limit: int | None = None
    size: int | None = None
    seed: int = 0
    unseen_from: Literal["train", "test"] = "train"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How originals and gold models are made.

    Attributes:
        data: The data that models are trained on.
        model: The name of the model, see ``lotus list models``.
        recipe: The recipe that models are trained by; ``None``: the published weights as they are,
            which leaves no gold model to compare with.
        pretrained: Whether training starts from published weights.
        batch_size: Images per step of methods that have no size of their own.
        precision: The type of number that models compute in, as for
            :func:`lotus_unlearning.unlearn`.
    """

    data: DataChoice
    model: str
    recipe: Recipe | None = field(default_factory=Recipe)
    pretrained: bool = False
    batch_size: int = 128
    precision: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Original:
    """A cell that trains a model.

    Attributes:
        setup: The data, the model and the recipe.
        seed: The seed of the initialisation and of the order of images.
        half: The half of the images that is trained on, 0 or 1, to see what the other half adds;
            ``None``: all of them.
    """

    keeps_files: ClassVar[bool] = True
    fails_for_good: ClassVar[bool] = False
    setup: Setup
    seed: int = 0
    half: int | None = None

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells whose files this one reads."""
        return ()

    @cached_property
    def key(self) -> str:
        """The name of its file."""
        return _key(self)

    @property
    def heading(self) -> dict[str, Any]:
        """What its file begins with."""
        return _heading(self)

    def read(self, path: Path) -> dict[str, Any]:
        """What its file says; see :func:`read_record`."""
        return read_record(path)


@dataclass(frozen=True, kw_only=True)
class Forget:
    """How the images to forget are chosen; see :mod:`lotus_unlearning.benchmark.scenarios`.

    Attributes:
        kind: The kind of choice: ``"random"`` images of each class, a ``"class"``, whole
            ``"group"`` s of images (all of a person), the ``"official"`` choice of the data set's
            authors, the most ``"memorised"`` images, or ``"near-duplicates"`` of retained ones.
        fraction: The share of the training images to forget, from 0 to 1; a class has its own size.
        label: The name of the class to forget; ``None``: drawn by ``seed``, without replacement.
        seed: The seed of what is drawn; 0 where nothing is.
        ranked_by: The model that ranks the images by what it remembers, for the last two kinds.
    """

    kind: Kind = "random"
    fraction: float = 0.1
    label: str | None = None
    seed: int = 0
    ranked_by: Original | None = None

    def __post_init__(self) -> None:
        if (self.kind in HARD) != (self.ranked_by is not None):
            raise ValueError(f"forget: expected ranked_by for {', '.join(HARD)} alone, got {self}")

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells that the choice depends on."""
        if self.ranked_by is None:
            return ()
        halves = [replace(self.ranked_by, half=half) for half in (0, 1)]
        return (self.ranked_by, *(halves if self.kind == "memorised" else ()))


@dataclass(frozen=True, kw_only=True)
class Gold:
    """A cell that trains a model without the images to forget."""

    keeps_files: ClassVar[bool] = True
    fails_for_good: ClassVar[bool] = False
    setup: Setup
    forget: Forget
    seed: int

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells whose files this one reads."""
        return self.forget.needs

    @cached_property
    def key(self) -> str:
        """The name of its file."""
        return _key(self)

    @property
    def heading(self) -> dict[str, Any]:
        """What its file begins with."""
        return _heading(self)

    def read(self, path: Path) -> dict[str, Any]:
        """What its file says; see :func:`read_record`."""
        return read_record(path)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A cell that measures the original and each gold model against the other golds."""

    keeps_files: ClassVar[bool] = False
    fails_for_good: ClassVar[bool] = False
    original: Original
    forget: Forget
    golds: tuple[Gold, ...]

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells whose files this one reads."""
        return (self.original, *self.golds, *self.forget.needs)

    @cached_property
    def key(self) -> str:
        """The name of its file."""
        return _key(self)

    @property
    def heading(self) -> dict[str, Any]:
        """What its file begins with."""
        return _heading(self)

    def read(self, path: Path) -> dict[str, Any]:
        """What its file says; see :func:`read_comparison`."""
        return read_comparison(path, len(self.golds))


@dataclass(frozen=True, kw_only=True)
class Unlearning:
    """A cell that makes an original forget, and measures the result against the golds."""

    keeps_files: ClassVar[bool] = False
    fails_for_good: ClassVar[bool] = True  # its method would refuse again
    original: Original
    forget: Forget
    golds: tuple[Gold, ...]
    method: Method
    seed: int

    @property
    def needs(self) -> tuple["Cell", ...]:
        """Cells whose files this one reads."""
        return (self.original, *self.golds, *self.forget.needs)

    @cached_property
    def key(self) -> str:
        """The name of its file."""
        return _key(self)

    @property
    def heading(self) -> dict[str, Any]:
        """What its file begins with."""
        return _heading(self)

    def read(self, path: Path) -> dict[str, Any]:
        """What its file says; see :func:`read_record`."""
        return read_record(path)


Cell = Original | Gold | Reference | Unlearning


def setup_of(cell: Cell) -> Setup:
    """The data, the model and the recipe that a cell works with."""
    return cell.setup if isinstance(cell, Original | Gold) else cell.original.setup


def title(cell: Cell) -> str:
    """A cell in a few words.

    >>> setup = Setup(data=DataChoice(name="digits"), model="resnet-thin")
    >>> title(Original(setup=setup, seed=2))
    'original 2, digits, resnet-thin'
    """
    setup = setup_of(cell)
    work = f"{setup.data.name}, {setup.model}"
    if isinstance(cell, Original):
        half = "" if cell.half is None else f" on half {cell.half}"
        return f"original {cell.seed}{half}, {work}"
    if isinstance(cell, Gold):
        return f"gold {cell.seed} without {_forgotten(cell.forget)}, {work}"
    place = f"original {cell.original.seed}, {work}"
    if isinstance(cell, Reference):
        return f"measures of {place}, and of its golds"
    name = type(cell.method).__name__
    return f"{name} forgets {_forgotten(cell.forget)}, {place}"


def _forgotten(forget: Forget) -> str:
    size = "" if forget.kind in ("class", "official") else f" {forget.fraction:.0%}"
    return f"{forget.kind}{size} (seed {forget.seed})"


def _key(cell: Cell) -> str:
    redrawn = [] if isinstance(cell, Original) else _redrawn(cell.forget)
    text = json.dumps([FORMAT, canonical(cell), *redrawn], sort_keys=True)
    digest = blake2b(text.encode(), digest_size=10).hexdigest()
    return f"{type(cell).__name__.lower()}-{digest}"


def _heading(cell: Cell) -> dict[str, Any]:
    return {"format": FORMAT, "key": cell.key, "cell": canonical(cell)}


def _redrawn(forget: Forget) -> list[str]:
    """Part of the names of cells whose choice of images is no longer what FORMAT 1 drew."""
    drawn = forget.kind == "class" and forget.label is None
    return ["classes without replacement"] if drawn else []
