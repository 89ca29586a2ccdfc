"""What a job is, what it gives, and the error of one that can never succeed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

Files = Mapping[str, bytes]
"""Name -> contents."""


class Entry(Protocol):
    """What a store keeps something of."""

    @property
    def key(self) -> str:
        """The name of its file: a digest of everything that determines what is in it."""

    @property
    def heading(self) -> Mapping[str, Any]:
        """Plain data that its file begins with: what it is of."""

    def read(self, path: Path) -> dict[str, Any]:
        """What its file says.

        Raises:
            ValueError: If the file is damaged, or is not as it was written.
        """


class Job(Protocol):
    """What can be run. Hashable, and can be pickled: it is sent to other processes."""

    @property
    def key(self) -> str:
        """Its name; no other job has it."""

    @property
    def needs(self) -> tuple[Any, ...]:
        """Jobs, of its own kind, whose files it reads."""

    @property
    def keeps_files(self) -> bool:
        """Whether its files are kept, as other jobs need them."""

    @property
    def fails_for_good(self) -> bool:
        """Whether a later run believes its :class:`FinalError`, and does not try it again."""


J = TypeVar("J", bound=Job)
J_contra = TypeVar("J_contra", bound=Job, contravariant=True)


@dataclass(frozen=True)
class Made:
    """What a job gives.

    Attributes:
        record: Plain data, which stays.
        files: Large contents, for the jobs that need them.
    """

    record: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


Work = Callable[[J, Mapping[str, Files]], Made]
"""Does a job: the job, and the files of each of its needs by key -> what it gives."""


class FinalError(Exception):
    """The job itself cannot succeed: every other try would end alike.

    Unlike other errors, of which a machine, its memory or its files may be the cause.
    """

    @property
    def reason(self) -> str:
        """Why, in words that are meant to be read."""
        return str(self.args[0])
