"""The ledger: rows are added, never altered, and it shows if they were."""

import sqlite3
from contextlib import closing

import pytest
import workspaces

from lotus_unlearning.requests import entries, ledger
from lotus_unlearning.requests.workspace import LEDGER, opened

TABLES = ("request", "image", "run", "batch", "history")


def written(path, *statements):
    """Write past the rules, as somebody with an editor for SQLite would."""
    with closing(sqlite3.connect(path)) as db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        db.commit()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
def test_no_row_of_any_table_can_be_altered_or_deleted(workspace, table, verb):
    workspaces.ask(workspace, workspaces.ids()[0])
    with opened(workspace) as found:
        first = found.db.execute(f"SELECT * FROM {table}").fetchone()
        if first is None:
            found.db.execute("INSERT INTO batch VALUES (0, 1)")
            first = {"run": 0}
        column = next(iter(dict(first)))
        statement = f"DELETE FROM {table}"
        if verb == "UPDATE":
            statement = f"UPDATE {table} SET {column} = {column}"
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            found.db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE request SET due = '2099-01-01'", "request 1 is not as it was"),
        ("UPDATE image SET verdict = 'never trained on'", "request 1 is not as it was"),
        ("DELETE FROM image", "request 1 is not as it was"),
        ("UPDATE run SET weights = 'x'", "run 0 is not as it was"),
        ("UPDATE history SET state = 'served' WHERE number = 2", "row 2 of the history is not"),
        ("UPDATE history SET at = '2020-01-01' WHERE number = 1", "row 1 of the history is not"),
        ("DELETE FROM history WHERE number = 1", "expected row 1 of the history, got row 2"),
        ("DELETE FROM history WHERE number = 2", "the history does not know of 1"),
    ],
)
def test_a_row_that_was_altered_all_the_same_is_found(workspace, statement, message):
    workspaces.ask(workspace, workspaces.ids()[0])
    written(workspace / LEDGER, "PRAGMA foreign_keys = OFF", statement)
    with pytest.raises(ValueError, match=message), opened(workspace):
        pass


def test_each_row_of_the_history_holds_the_hash_of_the_one_before(workspace):
    for image in workspaces.ids()[:3]:
        workspaces.ask(workspace, image)
    with opened(workspace) as found:
        rows = ledger.events(found.db)
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert [row.previous for row in rows] == ["", *(row.hash for row in rows[:-1])]
    assert ledger.broken_links(rows) == []
    assert ledger.broken_links([rows[0], rows[2]]) != []


def test_a_ledger_of_a_newer_version_is_refused(workspace):
    written(workspace / LEDGER, f"PRAGMA user_version = {ledger.FORMAT + 1}")
    with pytest.raises(ValueError, match="format 1, got 2, written by a newer"), opened(workspace):
        pass


def test_a_file_that_is_no_ledger_is_refused(workspace):
    (workspace / LEDGER).write_bytes(b"something else entirely, and long enough" * 100)
    with pytest.raises(ValueError, match="expected a ledger, got"), opened(workspace):
        pass


def test_an_empty_database_is_refused(workspace):
    (workspace / LEDGER).unlink()
    with closing(sqlite3.connect(workspace / LEDGER)) as db:
        db.execute("CREATE TABLE other (x)")
    with pytest.raises(ValueError, match="no ledger of a workspace"), opened(workspace):
        pass


def test_a_ledger_that_another_process_writes_to_is_waited_for_and_then_refused(
    workspace, monkeypatch
):
    monkeypatch.setattr(ledger, "_WAIT_SECONDS", 0.1)
    with closing(sqlite3.connect(workspace / LEDGER, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ValueError, match="another process has held it"):
            workspaces.ask(workspace, workspaces.ids()[0])
        other.execute("ROLLBACK")
    assert workspaces.ask(workspace, workspaces.ids()[0]) == 1


def test_what_fails_within_a_transaction_leaves_nothing(workspace):
    def half_a_request(db):
        with ledger.transaction(db):
            entries.add_request(db, [], reference="", received="", due="", near="none found")
            entries.change_request(db, 1, "served", run=7)  # there is no such run

    with opened(workspace) as found:
        with pytest.raises(sqlite3.IntegrityError):
            half_a_request(found.db)
        assert entries.requests(found.db) == []


def test_one_request_is_read_as_it_stands_among_all(tmp_path):
    ledger.create(tmp_path / "ledger.db")
    images = [entries.Found(str(i), "id", str(i), None, "to forget") for i in range(3)]
    words = {"reference": "", "received": "", "due": "", "near": "none found"}
    with ledger.opened(tmp_path / "ledger.db") as db:
        with pytest.raises(ValueError, match=r"the id of one \(none yet; .*, got 1"):
            entries.request(db, 1)
        with ledger.transaction(db):
            for some in ([], images[:1], images):
                entries.add_request(db, some, **words)
            entries.change_request(db, 2, "withdrawn", why="asked again")
        assert [entries.request(db, n) for n in (1, 2, 3)] == entries.requests(db)
        for number in (0, 4, 2**70):
            with pytest.raises(ValueError, match=rf"the id of one \(1 to 3\), got {number}"):
                entries.request(db, number)


def test_what_the_history_is_silent_about_is_told_by_number(tmp_path):
    ledger.create(tmp_path / "ledger.db")
    with ledger.opened(tmp_path / "ledger.db") as db:
        entries.add_run(db, 0, "original", weights="", file="", record={})
        for table, values in (("request", (1, "", "", "", "")), ("run", (3, "", "", ""))):
            db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)
        told = [f"the history does not know of {number}" for number in (1, 3)]
        assert entries.problems(db) == told


def test_a_folder_that_is_no_workspace_is_refused(tmp_path):
    for place, got in ((tmp_path, "without lotus.yaml"), (tmp_path / "gone", "got none")):
        with pytest.raises(ValueError, match=f"lotus request init at .*{got}"), opened(place):
            pass
    assert list(tmp_path.iterdir()) == []
