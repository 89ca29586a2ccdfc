"""Before any work: several processes agree on what they are to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from lotus_unlearning.runtime.checkpoint import Folder
from lotus_unlearning.runtime.facts import Facts, differences, facts
from lotus_unlearning.splits import Split

if TYPE_CHECKING:
    from lotus_unlearning.runtime.processes import Processes
    from lotus_unlearning.runtime.run import Runtime


def require_the_same(known: Facts, processes: "Processes") -> None:
    """All processes were given the same: else what they make together is of neither.

    Args:
        known: What this process is to do, see :func:`~lotus_unlearning.runtime.facts.facts`.
        processes: All of them.

    Raises:
        ValueError: If not; says what another process than the first has otherwise.
    """
    first, *others = processes.tell(known)
    for rank, other in enumerate(others, start=1):
        if other != first:
            differ = "; ".join(differences(first, other))
            raise ValueError(
                f"processes: expected the same options, data and versions in all "
                f"{processes.count}, got others in process {rank} (there) than in process 0 "
                f"(here): {differ}"
            )


def begin(
    checkpoint: str | Path | None,
    name: str,
    work: object,
    model: nn.Module,
    parts: Mapping[str, Split | None],
    run: "Runtime",
) -> Folder | None:
    """Where to keep how far the work is, if anywhere, when all processes agree on it.

    Args:
        checkpoint: The folder; ``None``: nothing is kept.
        name: What ``work`` is: ``"method"`` or ``"recipe"``.
        work: With its settings.
        model: That the work begins with.
        parts: The images that are read, by name.
        run: For the work.

    Raises:
        ValueError: If the processes do not agree.
    """
    if checkpoint is None and run.processes.count == 1:
        return None
    known = facts(name, work, model, parts, run)
    require_the_same(known, run.processes)
    return None if checkpoint is None else Folder(Path(checkpoint), known)
