"""Where a command writes, and what it says about itself; of several processes, the first does."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotus_unlearning import runs
from lotus_unlearning.cli import configs
from lotus_unlearning.cli.options import say, show
from lotus_unlearning.cli.trained_on import KEY, TrainingImages
from lotus_unlearning.evaluation import Evaluation
from lotus_unlearning.files import folders
from lotus_unlearning.runtime import Processes
from lotus_unlearning.runtime.checkpoint import FILE
from lotus_unlearning.runtime.claimed import discard, require_free
from lotus_unlearning.runtime.processes import LostProcessError

LISTS = {"forget": "forget.txt", "without": "without.txt"}
"""Option that names images -> the file of their ids in the run folder."""

_GOES_ON = "interrupted. The same command goes on after the last complete epoch."


@dataclass(frozen=True)
class Output:
    """The run folder of a command.

    Attributes:
        command: Its name.
        words: The command line after it.
        options: As they were read.
        final: Where the folder is to be.
        processes: That work together.
    """

    command: str
    words: Sequence[str]
    options: Any
    final: Path
    processes: Processes

    @classmethod
    def of(cls, command: str, words: Sequence[str], options: Any, name: str) -> "Output":
        """With ``--out``, or the first free folder called ``name``.

        Raises:
            ValueError: If something stands there, it cannot be written to, or the checkpoint
                would lie in it, cannot be written or is that of a run at work.
        """
        processes = Processes.start()

        def free() -> Path:
            """The folder to be written, checked by the first process for all."""
            final = folders.destination(options.out, name)
            folders.require_writable(final)
            checkpoint = getattr(options, "checkpoint", None)
            if checkpoint is not None:
                _require_place(final, checkpoint)
            return final

        return cls(command, words, options, processes.from_first(free), processes)

    def facts(self, here: TrainingImages, precision: str | None = None) -> dict[str, Any]:
        """For the manifest of each run of this command.

        Args:
            here: Its training images.
            precision: If it is not that of the options.
        """
        chosen = self.options
        seeds = ("seed", "data_seed", "forget_seed")
        return {
            "command": self.command,
            "command_line": shlex.join(["lotus", self.command, *self.words]),
            **{key: getattr(chosen, key) for key in seeds},
            KEY: here.record,
            **runs.surroundings(chosen.device, precision or chosen.precision, self.processes),
        }

    def config(self, part: str = "") -> dict[str, Any]:
        """The options as a file in the folder ``part`` has them, to run the same again."""
        lists = {option: self.final / file for option, file in LISTS.items()}
        return configs.written(self.command, self.options, self.final / part, lists)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Work with a checkpoint, if the options name one: cut short, it says what is kept.

        When the block is complete, the run is written and the checkpoint is not needed any more.
        """
        folder = self.options.checkpoint
        try:
            yield
        except (KeyboardInterrupt, LostProcessError) as stop:
            if folder is None or not (Path(folder) / FILE).is_file():
                raise
            if isinstance(stop, KeyboardInterrupt):
                raise KeyboardInterrupt(_GOES_ON) from None
            raise LostProcessError(f"{stop}, from the checkpoint in {folder!r} on") from stop
        if folder is not None and self.processes.rank == 0:
            discard(folder)
        self.processes.wait()

    def write(self, records: Mapping[str, Callable[[Path], None]]) -> None:
        """Write the folder, complete or not at all; returns when it is there for all processes.

        Args:
            records: Write a folder each. ``""``: the run itself; other names: folders in it.
        """
        if self.processes.rank == 0:
            with folders.folder(self.final) as path:
                for part, write in records.items():
                    write(path / part)
        self.processes.wait()

    def show(self, evaluation: Evaluation) -> None:
        """The table, and where the page is."""
        show(evaluation.to_markdown())
        say(f"page: {self.final / 'report.html'}")


def _require_place(final: Path, checkpoint: str) -> None:
    require_free(Path(checkpoint))  # first: a link that leads in a circle has no end to resolve
    place, run = Path(checkpoint).resolve(), final.resolve()
    if run == place or run in place.parents:
        raise ValueError(
            f"checkpoint: expected a folder outside the new run's folder {str(final)!r}, got "
            f"{checkpoint!r}; choose another --checkpoint or --out"
        )
