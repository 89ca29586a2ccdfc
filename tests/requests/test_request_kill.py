"""Killed at any moment, a run leaves the old model with the requests pending, or the new one with
them served and their record."""

import multiprocessing
import os
import random
import shutil
import time
from multiprocessing import forkserver
from pathlib import Path

import killed
import pytest
import workspaces

from lotus_unlearning.requests import entries
from lotus_unlearning.requests.export import export
from lotus_unlearning.requests.serve import serve
from lotus_unlearning.requests.verify import verify
from lotus_unlearning.requests.workspace import opened, served_run

KILLS = 50


@pytest.fixture(scope="module")
def forks():
    """Processes that start with everything imported."""
    with pytest.MonkeyPatch.context() as patch:
        place = str(Path(__file__).parent)  # where the server finds ``killed``
        patch.setenv("PYTHONPATH", place, prepend=os.pathsep)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["killed"])
        forkserver.ensure_running()
    return context


@pytest.fixture(scope="module")
def asked(template, tmp_path_factory):
    """A workspace with two pending requests, to be copied."""
    folder = workspaces.copied(template, tmp_path_factory.mktemp("kill") / "deletion")
    workspaces.ask(folder, *workspaces.ids()[:2])
    workspaces.ask(folder, *workspaces.ids()[1:4])
    return folder


def outcome(folder) -> str:
    """``"pending"`` or ``"served"``, after it was checked that all of it is so."""
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
            assert run.number == 1
            assert {request.run for request in requests} == {1}
            assert leftovers == {"0000", "0001"}
            assert run.record["of_requests"].keys() == {"1", "2"}
            assert verify(export(workspace, 1)).problems == []
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
    assert outcome(tmp_path / "0") == "served"


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
