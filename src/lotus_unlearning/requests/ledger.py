"""The ledger: an SQLite file to which rows are added and in which none is ever altered.

The state of a request or of a run is not a cell that is overwritten but its last row in
``history``. Each of these rows holds the hash of the row before it and a hash of what it speaks of
(the request with its images, or the run with its record), so that a change to any row of any table
breaks the chain. Who may write to the file may also write a new chain: what pins it are the signed
records, which name its last row at their time.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from lotus_unlearning.requests.canonical import digest

FORMAT = 1
REQUEST_STATES = ("pending", "served", "refused", "withdrawn")
RUN_STATES = ("original", "prepared", "served", "kept", "abandoned")
"""Of a run: its model was there from the start; is complete but not served yet; is or was served;
was kept from being served by the guard rails; was not served because the run was interrupted."""

_WAIT_SECONDS = 5.0
_TABLES = """
CREATE TABLE request (
  id INTEGER PRIMARY KEY,
  reference TEXT NOT NULL,
  received TEXT NOT NULL,
  due TEXT NOT NULL,
  near TEXT NOT NULL
);
CREATE TABLE image (
  request INTEGER NOT NULL REFERENCES request (id),
  place INTEGER NOT NULL,
  asked TEXT NOT NULL,
  found_by TEXT NOT NULL,
  image TEXT,
  content TEXT,
  verdict TEXT NOT NULL,
  note TEXT NOT NULL,
  distance INTEGER,
  PRIMARY KEY (request, place)
);
CREATE TABLE run (
  number INTEGER PRIMARY KEY,
  weights TEXT NOT NULL,
  file TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE TABLE batch (
  run INTEGER NOT NULL REFERENCES run (number),
  request INTEGER NOT NULL REFERENCES request (id),
  PRIMARY KEY (run, request)
);
CREATE TABLE history (
  number INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  request INTEGER REFERENCES request (id),
  run INTEGER REFERENCES run (number),
  state TEXT NOT NULL,
  why TEXT NOT NULL,
  about TEXT NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE
);
"""
_UNALTERED = """
CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True)
class Event:
    """A row of the history: a change of state.

    Attributes:
        number: The number of the row, from 1, without gaps.
        at: The time, in UTC.
        request: The id of the request whose state changed; ``None``: it is the state of the run.
        run: The number of the run that changed, or that changed the request; ``None``: no run did.
        state: The new state.
        why: The reason, in words.
        about: The hash of the request or run as it stands in the other tables.
        previous: The ``hash`` of the row before.
        hash: The hash of all of the above.
    """

    number: int
    at: str
    request: int | None
    run: int | None
    state: str
    why: str
    about: str
    previous: str
    hash: str = ""

    def hashed(self) -> str:
        """What ``hash`` is to be."""
        return digest({k: v for k, v in asdict(self).items() if k != "hash"})


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def create(path: Path) -> None:
    """An empty ledger at ``path``."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        tables = ("request", "image", "run", "batch", "history")
        rules = [_UNALTERED.format(table=t, verb=v) for t in tables for v in ("UPDATE", "DELETE")]
        db.executescript(_TABLES + "".join(rules) + f"PRAGMA user_version = {FORMAT};")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the ledger at ``path``.

    Raises:
        ValueError: If there is none, it is damaged, of a newer version, or held by another process.
    """
    if not path.is_file():
        raise ValueError(
            f"expected a ledger at {path}, found none; restore it from a backup, or make a "
            "workspace with lotus request init"
        )
    with _explained(path):
        uri = f"file:{quote(str(path.absolute()))}?mode=rw"
        with closing(
            sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_WAIT_SECONDS)
        ) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA synchronous = FULL")
            _require_format(db, path)
            yield db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing of it; nobody else writes meanwhile."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def append(
    db: sqlite3.Connection,
    state: str,
    *,
    about: str,
    request: int | None = None,
    run: int | None = None,
    why: str = "",
) -> Event:
    """Add a row to the history, inside a transaction."""
    last = db.execute("SELECT number, hash FROM history ORDER BY number DESC LIMIT 1").fetchone()
    number, previous = (last["number"] + 1, last["hash"]) if last else (1, "")
    event = Event(number, now(), request, run, state, why, about, previous)
    event = Event(**{**asdict(event), "hash": event.hashed()})
    db.execute("INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?)", tuple(asdict(event).values()))
    return event


def events(
    db: sqlite3.Connection, *, request: int | None = None, run: int | None = None
) -> list[Event]:
    """Rows of the history in their order: all, those of a request, or those of a run itself."""
    where, values = "", list[int]()
    if request is not None:
        where, values = "WHERE request = ?", [request]
    elif run is not None:
        where, values = "WHERE request IS NULL AND run = ?", [run]
    rows = db.execute(f"SELECT * FROM history {where} ORDER BY number", values)
    return [Event(**dict(row)) for row in rows]


def head(db: sqlite3.Connection) -> Event:
    """The last row of the history."""
    return Event(**dict(db.execute("SELECT * FROM history ORDER BY number DESC").fetchone()))


def broken_links(rows: Sequence[Event]) -> list[str]:
    """What is wrong with the chain of ``rows``, one sentence each; empty if it is whole."""
    found: list[str] = []
    previous = ""
    for place, row in enumerate(rows, 1):
        if row.number != place:
            return [*found, f"expected row {place} of the history, got row {row.number}"]
        if row.previous != previous or row.hash != row.hashed():
            found.append(f"row {row.number} of the history is not as it was written")
        previous = row.hash
    return found


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors in words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "readonly" in str(error):
            raise ValueError(
                f"{path}: expected a ledger in a place that can be written to, as SQLite keeps its "
                "locks beside it; copy the workspace to such a place to read it"
            ) from None
        if "locked" not in str(error) and "busy" not in str(error):
            raise ValueError(f"{path}: expected a ledger that can be used, got: {error}") from None
        raise ValueError(
            f"{path}: expected a ledger that is free, but another process has held it for "
            f"{_WAIT_SECONDS:.0f} seconds; try again when it has ended"
        ) from None
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path}: expected a ledger, got: {error}; restore it from a backup"
        ) from None


def _require_format(db: sqlite3.Connection, path: Path) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise ValueError(
            f"{path}: expected a ledger of format {FORMAT}, got {found}, written by a newer "
            "lotus-unlearning; install that version"
        )
    if found < FORMAT:
        raise ValueError(
            f"{path}: expected a ledger of format {FORMAT}, got {found}: no ledger of a workspace"
        )
