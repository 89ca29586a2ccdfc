"""Where a run stands at the end of an epoch, in a file, to go on from after it was killed."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lotus_unlearning.files.folders import NO_ROOM
from lotus_unlearning.files.kinds import misfits
from lotus_unlearning.runtime import nested
from lotus_unlearning.runtime.facts import differences
from lotus_unlearning.runtime.gathered import dealt, gathered
from lotus_unlearning.runtime.models import restore
from lotus_unlearning.runtime.processes import Processes

if TYPE_CHECKING:
    from lotus_unlearning.runtime.run import Runtime

FILE = "checkpoint.safetensors"

_LONGEST, _TOLD = 200, 5
_ADVICE = "remove it to begin anew, or choose another folder"


class _Facts(TypedDict):
    facts: dict[str, Any]


class _Found(_Facts):
    loop: int
    done: int
    over: bool
    seconds: float
    history: list[dict[str, float | None]]
    model: dict[str, Any]
    carried: list[Any]
    generators: list[Tensor]


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
        path: The path of the file.
        facts: All that determines the run; a file of other facts is refused.
        model: The model that the run changes in place.
        found: What the file held when the run began, until it is taken up, else ``None``.
    """

    path: Path
    facts: Mapping[str, Any]
    model: nn.Module
    found: dict[str, Any] | None = None
    _loops: int = 0
    _epochs: int = 0
    _open: bool = False
    _carried: tuple[Carried, ...] = ()
    _stepped: "WeakKeyDictionary[torch.optim.Optimizer, int]" = dataclasses.field(
        default_factory=WeakKeyDictionary
    )
    _start: float = dataclasses.field(default_factory=time.perf_counter)

    @contextmanager
    def loop(self, run: "Runtime", carried: Sequence[Carried], count: int) -> Iterator[range]:
        """Within the block is a loop over epochs; gives those of ``count`` that are to be done.

        Where the file was written in this loop, all stands where it says. Loops before that one are
        run again as they were: what they leave is in no file.

        Raises:
            TypeError: If another loop is not over yet.
            ValueError: If what the file says does not fit the run.
        """
        if self._open:
            raise TypeError(
                "checkpoint: expected a method whose loops run.epochs(...) stand one behind the "
                "other, got one within another; change the method, or run it without a checkpoint"
            )
        self._loops += 1
        self._open, self._carried = True, tuple(carried)
        try:
            yield self._left(run, count)
        finally:
            self._open = False

    def _left(self, run: "Runtime", count: int) -> range:
        found = self.found
        if found is None or found["loop"] != self._loops:
            return range(count)
        self.found = None
        try:
            _take_up(found, self.model, self._carried, run)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            what = " ".join(str(error).split())[:_LONGEST]
            raise ValueError(
                f"checkpoint: expected {self.path} as it was written, but it does not fit "
                f"({type(error).__name__}: {what}); {_ADVICE}"
            ) from error
        return range(found["done"], found["done"] if found["over"] else count)

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
        first = run.processes.rank == 0
        kept = [c if isinstance(c, dict) else c.state_dict() for c in carried]
        values = {"model": self.model.state_dict(), "carried": kept}
        if run.shard:
            values = gathered(values, keep=first)
        if not first:
            return
        state = {
            "facts": dict(self.facts),
            "loop": self._loops,
            "done": done,
            "over": over,
            "seconds": run.seconds_before + time.perf_counter() - self._start,
            "history": run.history,
            "generators": generators,
            **values,
        }
        try:
            nested.write(self.path, state)
        except OSError as error:
            full = error.errno in NO_ROOM
            advice = "make room" if full else "see to it that the folder can be written to"
            raise OSError(
                f"checkpoint: expected to write {self.path} after epoch {done}, but: {error}; what "
                f"was written there before is kept: {advice} and start the same run again"
            ) from None


@dataclasses.dataclass(frozen=True)
class Folder:
    """Where the checkpoint of a run is to be.

    Attributes:
        path: The folder, which is there when a run begins.
        facts: All that determines the run.
    """

    path: Path
    facts: Mapping[str, Any]

    def of(self, model: nn.Module, processes: Processes) -> Checkpoint:
        """The checkpoint of a run that changes ``model``; the first process reads for all.

        Raises:
            ValueError: If the folder holds a checkpoint that is damaged or of another run; says
                what differs.
        """
        found = processes.from_first(self._read)
        return Checkpoint(self.path / FILE, self.facts, model, found)

    def _read(self) -> dict[str, Any] | None:
        file = self.path / FILE
        if not file.exists():
            return None
        try:
            found = nested.read(file)
            differ = differences(self.facts, _of_kind(found, _Facts)["facts"])
            if not differ:
                return _of_kind(found, _Found)
        except ValueError as error:
            raise ValueError(
                f"checkpoint: expected {file} as it was written, but {error}; {_ADVICE}"
            ) from None
        raise ValueError(
            f"checkpoint: expected in {file} one of this run, got another's "
            f"({'; '.join(differ)}); {_ADVICE}"
        )


def _of_kind(found: dict[str, Any], kind: Any) -> dict[str, Any]:
    """``found``, if its values are of a kind and have the right length."""
    other = [*islice(misfits(found, kind), _TOLD)]
    if not other and kind is _Found and not 0 < found["done"] <= len(found["history"]):
        other = ["done"]
    if other:
        raise ValueError(f"it holds other values of {', '.join(other)}")
    return found


def _of_all(run: "Runtime") -> list[Tensor]:
    """States ``[processes, bytes]`` of torch's own generators: each process has its own dropout."""
    mine = [torch.get_rng_state()]
    if run.device.type == "cuda":
        mine.append(torch.cuda.get_rng_state(run.device))
    return [run.processes.gather(state[None].to(run.device)).cpu() for state in mine]


def _take_up(
    found: Mapping[str, Any], model: nn.Module, carried: Sequence[Carried], run: "Runtime"
) -> None:
    """Let everything stand where ``found`` says."""
    weights, states = found["model"], found["carried"]
    if run.shard:
        weights, states = dealt((weights, states), next(model.parameters()))
    restore(model, weights)
    for keeper, state in zip(carried, states, strict=True):
        _take_up_one(keeper, state, run.device)
    run.history[:] = [dict(row) for row in found["history"]]
    # cloned: torch reads a state from where its storage begins, whichever row it is
    mine, *own = [state.clone() for state in _of_this_process(found["generators"], run)]
    run.generator.set_state(mine)
    torch.set_rng_state(own[0])
    if run.device.type == "cuda":
        torch.cuda.set_rng_state(own[1], run.device)
    # after an attempt of this process that was out of memory, the file knows less than the run
    run.seconds_before = max(run.seconds_before, found["seconds"])


def _of_this_process(generators: Sequence[Tensor], run: "Runtime") -> list[Tensor]:
    shared, *each = generators
    return [shared, *(states[run.processes.rank] for states in each)]


def _take_up_one(keeper: Carried, state: dict[str, Any], device: torch.device) -> None:
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
