"""Killed at any moment, a run leaves the old model with the requests pending, or the new one with
them served and their record."""

import json
import os
import random
import shutil
import time
from pathlib import Path

import killed
import pytest
import workspaces

from lotus_unlearning.requests import auditing, entries
from lotus_unlearning.requests.auditing import against_golds
from lotus_unlearning.requests.export import export
from lotus_unlearning.requests.serve import serve
from lotus_unlearning.requests.verify import verify
from lotus_unlearning.requests.workspace import opened, served_run
from worlds import forks_with

KILLS = 50


@pytest.fixture(scope="module")
def forks():
    return forks_with("killed", Path(__file__).parent)


@pytest.fixture(scope="module")
def asked(template, tmp_path_factory):
    """A workspace with two pending requests, to be copied."""
    folder = workspaces.copied(template, tmp_path_factory.mktemp("kill") / "deletion")
    workspaces.ask(folder, *workspaces.ids()[:2])
    workspaces.ask(folder, *workspaces.ids()[1:4])
    return folder


def outcome(folder, numbers=(1,)) -> str:
    """``"pending"`` or ``"served"`` by a run of these, after a check that all of it is so."""
    with opened(folder) as workspace:
        run = served_run(workspace)  # link, ledger and the hash of the model agree
        requests = entries.requests(workspace.db)
        (state,) = {request.state for request in requests}
        leftovers = {path.name for path in (folder / "runs").iterdir()}
        if state == "pending":
            assert run.number == 0
            assert leftovers == {"0000"}
        else:
            assert state == "served"
            assert run.number in numbers
            assert {request.run for request in requests} == {run.number}
            assert leftovers == {"0000", f"{run.number:04}"}
            assert run.record["of_requests"].keys() == {"1", "2"}
            assert verify(export(workspace, 1)).problems == []
            assert not (folder / auditing.BANKS).exists()  # what golds believe of the images
        assert not (folder / ".current.next").is_symlink()
    return state


@pytest.mark.timeout(900)
def test_killed_at_random_moments_ledger_and_model_agree(asked, forks, tmp_path):
    def start(name):
        folder = workspaces.copied(asked, tmp_path / name)
        process = forks.Process(target=killed.run, args=(str(folder),))
        process.start()
        return folder, process

    durations = []
    for name in ("first", "second"):
        _, whole = start(name)
        begun = time.monotonic()
        whole.join(60)
        durations.append(time.monotonic() - begun)
        assert whole.exitcode == 0
    draw, states = random.Random(0), []
    for number in range(KILLS):
        folder, process = start(str(number))
        # half of them over the whole run, half where it writes
        begin = 0.0 if number % 2 else 0.6
        time.sleep(draw.uniform(begin, 1.05) * durations[1])
        process.kill()
        process.join(60)
        assert process.exitcode in (-9, 0)
        states.append(outcome(folder))
        if number >= 2:
            shutil.rmtree(folder)
    assert states.count("pending") > KILLS / 10
    with opened(tmp_path / "0", alone=True) as workspace:
        serve(workspace)  # goes on as if nothing had been, whatever the kill left
    assert outcome(tmp_path / "0", numbers=(1, 2)) == "served"


def test_killed_before_each_single_write_ledger_and_model_agree(asked, forks, tmp_path):
    states, ended = [], -9
    while ended == -9:
        folder = workspaces.copied(asked, tmp_path / str(len(states)))
        process = forks.Process(target=killed.run_until, args=(str(folder), len(states) + 1))
        process.start()
        process.join(60)
        ended = process.exitcode
        states.append(outcome(folder))
        shutil.rmtree(folder)
    assert ended == killed.DONE
    # until the link is replaced, all is as it was; from there on, all is served
    swap = states.index("served")
    assert states[:swap] == ["pending"] * swap
    assert states[swap:] == ["served"] * (len(states) - swap)
    assert swap > 10
    assert len(states) - swap > 3


def test_a_kill_between_the_swap_and_the_ledger_is_put_right_by_whoever_comes_next(
    asked, tmp_path, monkeypatch
):
    folder = workspaces.copied(asked, tmp_path / "deletion")

    def power_cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lotus_unlearning.requests.serve.mark_served", power_cut)
    with pytest.raises(KeyboardInterrupt), opened(folder, alone=True) as workspace:
        serve(workspace)
    assert os.readlink(folder / "current") == "runs/0001"
    assert outcome(folder) == "served"


GOLDS = 3
AUDITED = {"recipe": {"epochs": 1, "batch_size": 32}, "audit_level": 1, "audit_golds": GOLDS}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """As ``asked``, with an audit at level 1 by a small bank."""
    folder = workspaces.make(tmp_path_factory.mktemp("audited") / "deletion", **AUDITED)
    workspaces.ask(folder, *workspaces.ids()[:10], near=False)
    workspaces.ask(folder, *workspaces.ids()[5:20], near=False)
    return folder


@pytest.fixture(scope="module")
def killed_within(forks):
    """Runs in a folder until a call of a phase; says how the process ended."""

    def start(folder, phase, call):
        process = forks.Process(target=killed.run_until_within, args=(str(folder), phase, call))
        process.start()
        process.join(120)
        return process.exitcode

    return start


@pytest.fixture(scope="module")
def calls(audited, killed_within, tmp_path_factory):
    """How many calls of the package each phase of a run has."""
    folder = workspaces.copied(audited, tmp_path_factory.mktemp("whole") / "deletion")
    assert killed_within(folder, "", 0) == killed.DONE
    assert outcome(folder) == "served"
    return json.loads((folder / killed.COUNTED).read_text())


@pytest.fixture(scope="module")
def with_golds(audited, calls, killed_within, tmp_path_factory):
    """As ``audited``, after a run that was killed at the end of the audit: golds are there."""
    folder = workspaces.copied(audited, tmp_path_factory.mktemp("golds") / "deletion")
    assert killed_within(folder, "audit", calls["audit"]) == -9
    assert golds(folder) == GOLDS
    return folder


def golds(folder) -> int:
    """How many are complete."""
    return len([*folder.glob(f"{auditing.BANKS}/*/cells/*.json")])


def finish(folder) -> list[str]:
    """Run again, to the end; what is said of golds that are trained."""
    said: list[str] = []
    with opened(folder, alone=True) as workspace:
        serve(workspace, audit=against_golds(workspace, workspace.settings, said.append))
    assert outcome(folder, numbers=(1, 2)) == "served"  # 2: the first was given up when all written
    return said


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("phase", "kills"), [("bank", 5), ("audit", 3), ("kept", 4)])
def test_killed_within_the_bank_the_audit_or_the_writing_ledger_and_model_agree(
    audited, with_golds, calls, killed_within, tmp_path, phase, kills
):
    draw, states, there = random.Random(phase), [], []
    for number in range(kills):
        before = audited if phase == "bank" else with_golds
        folder = workspaces.copied(before, tmp_path / str(number))
        assert killed_within(folder, phase, draw.randint(1, calls[phase])) == -9
        states.append(outcome(folder))
        there.append(golds(folder))
    if phase == "kept":
        assert {*there} <= {0, GOLDS}
    else:
        assert states == ["pending"] * kills
    if phase == "bank":
        assert len({*there}) > 1  # in the middle of several golds
    first = states.index("pending")
    assert len(finish(tmp_path / str(first))) == GOLDS - there[first], "none is trained twice"


def test_killed_where_the_golds_are_taken_away_nothing_of_them_outlives_the_request(
    with_golds, calls, killed_within, tmp_path
):
    for call in range(1, calls["clear"] + 1):
        folder = workspaces.copied(with_golds, tmp_path / str(call))
        assert killed_within(folder, "clear", call) == -9
        outcome(folder)
    finish(folder)


def test_killed_after_the_golds_were_taken_away_they_are_made_again(
    with_golds, tmp_path, monkeypatch
):
    folder = workspaces.copied(with_golds, tmp_path / "deletion")

    def power_cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lotus_unlearning.requests.serve.point_to", power_cut)
    with pytest.raises(KeyboardInterrupt), opened(folder, alone=True) as workspace:
        serve(workspace)
    assert outcome(folder) == "pending"
    monkeypatch.undo()
    assert len(finish(folder)) == GOLDS
