"""Where a run stands at the end of an epoch, in a file, to go on from after it was killed."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lotus_unlearning.runtime import nested
from lotus_unlearning.runtime.models import fingerprint
from lotus_unlearning.runtime.processes import Processes
from lotus_unlearning.splits import Split

if TYPE_CHECKING:
    from lotus_unlearning.runtime.run import Runtime

FILE = "checkpoint.safetensors"


class Stateful(Protocol):
    """An optimizer, a learning-rate schedule, or what else can say and take up where it stands."""

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Stand there."""


Carried = Stateful | dict[str, Any]
"""What one epoch hands to the next, beside the model."""


@dataclasses.dataclass
class Checkpoint:
    """The file of one run.

    Attributes:
        path: Of the file.
        facts: What determines the run; a file of other facts is refused.
        model: That is changed by the run.
        found: What the file held when the run began, until it is taken up.
        seconds_before: Spent on the run before it was killed.
    """

    path: Path
    facts: Mapping[str, Any]
    model: nn.Module
    found: dict[str, Any] | None = None
    seconds_before: float = 0.0
    _loops: int = 0
    _epochs: int = 0
    _carried: tuple[Carried, ...] = ()
    _stepped: "WeakKeyDictionary[torch.optim.Optimizer, int]" = dataclasses.field(
        default_factory=WeakKeyDictionary
    )
    _start: float = dataclasses.field(default_factory=time.perf_counter)

    def enter(self, run: "Runtime", carried: Sequence[Carried]) -> tuple[int, bool]:
        """Begin a loop over epochs; where the file was written in it, stand where it says.

        Loops before that one are run again as they were: what they leave is in no file.

        Returns:
            The epochs that are done, and whether the loop is over.
        """
        self._loops += 1
        self._carried = tuple(carried)
        found = self.found
        if found is None or found["loop"] != self._loops:
            return 0, False
        self.found = None
        self.model.load_state_dict(found["model"])
        for keeper, state in zip(carried, found["carried"], strict=True):
            _take_up(keeper, state, run.device)
        run.history[:] = found["history"]
        run.generator.set_state(found["generators"][0])
        rank = min(run.processes.rank, len(found["generators"][1]) - 1)
        # cloned: torch reads a state from where its storage begins, whichever row it is
        own = [states[rank].clone() for states in found["generators"][1:]]
        torch.set_rng_state(own[0])
        if run.device.type == "cuda":
            torch.cuda.set_rng_state(own[1], run.device)
        self.seconds_before = found["seconds"]
        return found["done"], found["over"]

    def require_carried(self, optimizer: torch.optim.Optimizer) -> None:
        """What an optimizer remembers from one epoch to the next is in the file.

        Raises:
            TypeError: If it makes steps in a second epoch and was not given to the loop.
        """
        if any(optimizer is carried for carried in self._carried):
            return
        if self._stepped.setdefault(optimizer, self._epochs) != self._epochs:
            raise TypeError(
                f"checkpoint: expected the method to hand its {type(optimizer).__name__} on from "
                "epoch to epoch with run.epochs(count, optimizer), got a loop without it; change "
                "the method, or run it without a checkpoint"
            )

    def save(self, run: "Runtime", carried: Sequence[Carried], done: int, over: bool) -> None:
        """Write the file at the end of an epoch.

        Of loops that are run again, to come to the one that the file is of, it takes no notice.

        Raises:
            OSError: If it cannot be written; the last one is as it was.
        """
        self._epochs += 1
        if self.found is not None:
            return
        generators = [run.generator.get_state(), *_of_all(run)]
        if run.processes.rank > 0:
            return
        state = {
            "facts": dict(self.facts),
            "loop": self._loops,
            "done": done,
            "over": over,
            "seconds": self.seconds_before + time.perf_counter() - self._start,
            "history": run.history,
            "model": self.model.state_dict(),
            "carried": [c if isinstance(c, dict) else c.state_dict() for c in carried],
            "generators": generators,
        }
        try:
            nested.write(self.path, state)
        except OSError as error:
            raise OSError(
                f"checkpoint: expected to write {self.path} after epoch {done}, but: {error}; what "
                "was written there before is kept: make room and start the same run again"
            ) from None


@dataclasses.dataclass(frozen=True)
class Folder:
    """Where the checkpoint of a run is to be.

    Attributes:
        path: Of the folder; made if there is none.
        facts: What determines the run.
    """

    path: Path
    facts: Mapping[str, Any]

    def of(self, model: nn.Module, processes: Processes) -> Checkpoint:
        """The checkpoint of a run that changes ``model``; the first process reads for all.

        Raises:
            ValueError: If the folder cannot be made, or holds a checkpoint that is damaged or of
                another run; says what differs.
        """
        found = processes.from_first(self._read)
        return Checkpoint(self.path / FILE, self.facts, model, found)

    def _read(self) -> dict[str, Any] | None:
        file, advice = self.path / FILE, "remove it to begin anew, or choose another folder"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint: expected a folder at {str(self.path)!r}, but: {error.strerror}"
            ) from None
        if not file.exists():
            return None
        try:
            found = nested.read(file)
        except ValueError as error:
            raise ValueError(
                f"checkpoint: expected {file} as it was written, but {error}; {advice}"
            ) from None
        differ = _differences(self.facts, found["facts"])
        if differ:
            raise ValueError(
                f"checkpoint: expected in {file} one of this run, got another's "
                f"({'; '.join(differ)}); {advice}"
            )
        return found


def discard(folder: str | Path) -> None:
    """Remove the checkpoint in ``folder``, and the folder if nothing else is in it."""
    path = Path(folder)
    (path / FILE).unlink(missing_ok=True)
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()


def _differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*here, *there])
    pairs = {name: (_shown(here.get(name)), _shown(there.get(name))) for name in names}
    return [f"{n}: here {one}, there {other}" for n, (one, other) in pairs.items() if one != other]


def told(settings: object) -> dict[str, Any]:
    """A method or a recipe as facts: its name and its settings; of models in it, their weights."""
    name = f"{type(settings).__module__}.{type(settings).__qualname__}"
    if not dataclasses.is_dataclass(settings):
        return {"method": name}
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    return {
        "method": name,
        **{k: fingerprint(v) if isinstance(v, nn.Module) else repr(v) for k, v in values.items()},
    }


def identity(split: Split | None) -> str | None:
    """SHA-256 of the ids and labels of a split, in their order."""
    if split is None:
        return None
    digest = sha256(split.ids.numpy().tobytes())
    digest.update(split.labels.numpy().tobytes())
    return digest.hexdigest()


def _shown(value: object) -> str:
    text = str(value)
    is_hash = len(text) == 64 and " " not in text
    return f"{text[:12]}..." if is_hash else text


def _of_all(run: "Runtime") -> list[Tensor]:
    """States ``[processes, bytes]`` of torch's own generators: each process has its own dropout."""
    mine = [torch.get_rng_state()]
    if run.device.type == "cuda":
        mine.append(torch.cuda.get_rng_state(run.device))
    return [run.processes.gather(state[None].to(run.device)).cpu() for state in mine]


def _take_up(keeper: Carried, state: dict[str, Any], device: torch.device) -> None:
    if isinstance(keeper, dict):
        keeper.update(_on(device, state))
        return
    keeper.load_state_dict(state)
    if isinstance(keeper, torch.optim.Optimizer):
        _in_order_of_parameters(keeper)


def _on(device: torch.device, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _on(device, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on(device, inner) for inner in value)
    return value


def _in_order_of_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Fused steps read a parameter and its moments side by side: both in channels-last, or not."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
