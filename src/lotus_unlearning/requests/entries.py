"""Requests and runs as they stand in the ledger: written once, and read back as records."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lotus_unlearning.requests import ledger
from lotus_unlearning.requests.canonical import canonical, digest

Verdict = Literal["to forget", "already forgotten", "never trained on", "not found", "left"]
Near = Literal["none found", "included", "left"]


@dataclass(frozen=True)
class Found:
    """What became of one image that was asked for.

    Attributes:
        asked: The id, the path or the file name, as the person asked for it.
        found_by: The way it was found: ``"id"``, ``"equal pixels"``, ``"similar"`` or
            ``"nothing"``.
        image: The id of the image in the training data; ``None``: it is not there.
        content: The hash of its pixels; ``None``: they are not known.
        verdict: ``"to forget"``, ``"already forgotten"``; ``"never trained on"``: known, and not
            among the training images; ``"not found"``: an image file that is none of them, though
            it may show the same; ``"left"``: similar to an image that was asked for, and not to be
            forgotten.
        note: More about the verdict, in words.
        distance: The number of bits, of 64, in which the perceptual hash of a similar image
            differs.
    """

    asked: str
    found_by: str
    image: str | None
    content: str | None
    verdict: Verdict
    note: str = ""
    distance: int | None = None


@dataclass(frozen=True)
class Request:
    """A request with its images.

    Attributes:
        id: The number of the request, from 1.
        reference: Words of whoever added it that tell to whom it belongs; may be empty.
        received: The date on which it came, ``YYYY-MM-DD``.
        due: The date by which it is to be served, ``YYYY-MM-DD``.
        near: The decision about similar images.
        images: The images, in the order in which they were asked for.
        state: The state it is in, one of ``REQUEST_STATES``.
        why: The reason for this state, in words.
        run: The number of the run that served it; ``None``: none did.
    """

    id: int
    reference: str
    received: str
    due: str
    near: str
    images: Sequence[Found]
    state: str
    why: str
    run: int | None

    @property
    def to_forget(self) -> dict[str, str | None]:
        """Ids of the images that are to be forgotten, with the hash of their pixels."""
        return {f.image: f.content for f in self.images if f.image and f.verdict == "to forget"}

    @property
    def trained_on(self) -> list[str]:
        """Ids of its images that were trained on and are or will be forgotten."""
        known = ("to forget", "already forgotten")
        return [f.image for f in self.images if f.image and f.verdict in known]


@dataclass(frozen=True)
class Run:
    """A model that was made: the first one, and one for each batch of requests.

    Attributes:
        number: The number of the run; 0 is the model that was there at the start.
        weights: The SHA-256 of the weights, see :func:`lotus_unlearning.runtime.fingerprint`.
        file: The SHA-256 of ``model.safetensors``.
        record: Plain data about how it was made and what was measured.
        requests: The ids of the requests in the batch.
        state: The state it is in, one of ``RUN_STATES``.
        why: The reason for this state, in words.
        at: The time since when it is in this state, in UTC.
    """

    number: int
    weights: str
    file: str
    record: Mapping[str, Any]
    requests: Sequence[int]
    state: str
    why: str
    at: str


def add_request(
    db: sqlite3.Connection,
    images: Sequence[Found],
    *,
    reference: str,
    received: str,
    due: str,
    near: Near,
) -> int:
    """Write a request that is pending; returns its id. Inside a transaction."""
    number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM request").fetchone()[0]
    db.execute("INSERT INTO request VALUES (?,?,?,?,?)", (number, reference, received, due, near))
    rows = [
        (number, place, f.asked, f.found_by, f.image, f.content, f.verdict, f.note, f.distance)
        for place, f in enumerate(images, 1)
    ]
    db.executemany("INSERT INTO image VALUES (?,?,?,?,?,?,?,?,?)", rows)
    change_request(db, number, "pending")
    return int(number)


def change_request(
    db: sqlite3.Connection, number: int, state: str, *, run: int | None = None, why: str = ""
) -> None:
    """Write a new state of a request. Inside a transaction."""
    ledger.append(db, state, about=_about_request(db, number), request=number, run=run, why=why)


def add_run(
    db: sqlite3.Connection,
    number: int,
    state: str,
    *,
    weights: str,
    file: str,
    record: Mapping[str, Any],
    requests: Sequence[int] = (),
    why: str = "",
) -> None:
    """Write a run and its first state. Inside a transaction."""
    text = canonical(record).decode()
    db.execute("INSERT INTO run VALUES (?,?,?,?)", (number, weights, file, text))
    db.executemany("INSERT INTO batch VALUES (?,?)", [(number, r) for r in requests])
    change_run(db, number, state, why=why)


def change_run(db: sqlite3.Connection, number: int, state: str, *, why: str = "") -> None:
    """Write a new state of a run. Inside a transaction."""
    ledger.append(db, state, about=_about_run(db, number), run=number, why=why)


def requests(db: sqlite3.Connection, state: str | None = None) -> list[Request]:
    """All requests, or those in one state, by id."""
    images: dict[int, list[Found]] = {}
    for row in db.execute("SELECT * FROM image ORDER BY request, place"):
        images.setdefault(row["request"], []).append(_found(row))
    last = {e.request: e for e in ledger.events(db) if e.request is not None}
    found = [
        _as_request(row, images.get(row["id"], []), last[row["id"]])
        for row in db.execute("SELECT * FROM request ORDER BY id")
    ]
    return [request for request in found if state in (None, request.state)]


def request(db: sqlite3.Connection, number: int) -> Request:
    """One request.

    Raises:
        ValueError: If there is none with this id.
    """
    newest = db.execute("SELECT max(id) FROM request").fetchone()[0]
    if newest is None or not 1 <= number <= newest:  # SQLite takes no number of any length
        ids = f"1 to {newest}" if newest else "none yet; lotus request add makes one"
        raise ValueError(f"request: expected the id of one ({ids}), got {number}")
    row = db.execute("SELECT * FROM request WHERE id = ?", (number,)).fetchone()
    images = db.execute("SELECT * FROM image WHERE request = ? ORDER BY place", (number,))
    return _as_request(row, [_found(one) for one in images], ledger.events(db, request=number)[-1])


def _as_request(row: sqlite3.Row, images: Sequence[Found], last: ledger.Event) -> Request:
    return Request(**dict(row), images=images, state=last.state, why=last.why, run=last.run)


def _found(row: sqlite3.Row) -> Found:
    place = ("request", "place")
    return Found(**{key: value for key, value in dict(row).items() if key not in place})


def runs(db: sqlite3.Connection, *states: str) -> list[Run]:
    """All runs, or those in some states, by number."""
    batches: dict[int, list[int]] = {}
    for row in db.execute("SELECT * FROM batch ORDER BY run, request"):
        batches.setdefault(row["run"], []).append(row["request"])
    last = {e.run: e for e in ledger.events(db) if e.request is None and e.run is not None}
    found = [
        Run(
            row["number"],
            row["weights"],
            row["file"],
            json.loads(row["record"]),
            batches.get(row["number"], []),
            last[row["number"]].state,
            last[row["number"]].why,
            last[row["number"]].at,
        )
        for row in db.execute("SELECT * FROM run ORDER BY number")
    ]
    return [run for run in found if not states or run.state in states]


def forgotten(db: sqlite3.Connection) -> dict[str, str | None]:
    """Ids of all images that the served model forgot, in all runs so far, with their hashes."""
    served = {number for run in runs(db, "served") for number in run.requests}
    union: dict[str, str | None] = {}
    for found in requests(db):
        if found.id in served:
            union |= found.to_forget
    return union


def problems(db: sqlite3.Connection) -> list[str]:
    """What was altered in the ledger, one sentence each; empty if it is as it was written."""
    rows = ledger.events(db)
    found = ledger.broken_links(rows)
    about_requests = {r["id"]: _about_request(db, r["id"]) for r in db.execute(_IDS)}
    about_runs = {r["number"]: _about_run(db, r["number"]) for r in db.execute(_NUMBERS)}
    for row in rows:
        about = about_runs if row.request is None else about_requests
        key = row.run if row.request is None else row.request
        if about.get(key) != row.about:
            what = f"run {key}" if row.request is None else f"request {key}"
            found.append(
                f"{what} is not as it was when row {row.number} of the history was written"
            )
    told_requests = {row.request for row in rows}
    told_runs = {row.run for row in rows if row.request is None}
    silent = [k for k in about_requests if k not in told_requests]
    silent += [k for k in about_runs if k not in told_runs]
    return [*found, *(f"the history does not know of {number}" for number in silent)]


_IDS, _NUMBERS = "SELECT id FROM request", "SELECT number FROM run"


def _about_request(db: sqlite3.Connection, number: int) -> str:
    row = db.execute("SELECT * FROM request WHERE id = ?", (number,)).fetchone()
    images = db.execute("SELECT * FROM image WHERE request = ? ORDER BY place", (number,))
    return digest([dict(row), [dict(image) for image in images]])


def _about_run(db: sqlite3.Connection, number: int) -> str:
    row = db.execute("SELECT * FROM run WHERE number = ?", (number,)).fetchone()
    batch = db.execute("SELECT request FROM batch WHERE run = ? ORDER BY request", (number,))
    return digest([dict(row), [r["request"] for r in batch]])


def as_plain(record: Request | Run | Found) -> dict[str, Any]:
    """Plain data, for JSON."""
    return asdict(record)
