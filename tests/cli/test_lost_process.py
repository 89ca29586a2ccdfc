"""One of several processes does not come to the end: all end, one says why, nothing is written."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import commands_of_lost
import pytest
import torch
from commands_of_lost import IS_KILLED, MODULE, UNLEARN
from safetensors.torch import save_file

from lotus_unlearning.cli import main
from lotus_unlearning.cli.output import Output
from lotus_unlearning.runtime import Processes
from lotus_unlearning.runtime.checkpoint import FILE
from worlds import together

LOST = (
    "lotus unlearn: expected 2 processes to the end, but one ended before its time (killed, "
    "perhaps for want of memory?), which ends all; no result was written, and the same command "
    "does it again"
)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "alone.py").write_text(MODULE.replace("DIES", IS_KILLED))
    weights = {"layer.weight": torch.zeros(2, 16), "layer.bias": torch.zeros(2)}
    save_file(weights, tmp_path / "weights.safetensors")
    return tmp_path


def told(lines):
    return [line for line in lines if line.startswith("lotus unlearn: ")]


def nothing_is_half_written(place):
    return not [p for p in place.iterdir() if p.name == "out" or p.name.startswith(".out")]


def test_who_outlives_a_killed_process_says_so_once(place):
    codes = together(2, commands_of_lost.run, place, UNLEARN)
    assert codes == [1, -9]
    assert told((place / "said-0").read_text().splitlines()) == [LOST]
    assert "Traceback" not in (place / "said-0").read_text()
    assert (place / "said-1").read_text() == ""
    assert nothing_is_half_written(place)


def test_processes_that_were_told_to_forget_other_images_say_so_before_any_work(place):
    """Else the model is of neither choice, and its manifest tells of the first."""
    other = ["--forget_seed", "5", "--method.epochs", "60"]
    codes = together(2, commands_of_lost.run_otherwise, place, UNLEARN, other)
    assert codes == [1, 1]
    (said,) = (
        line
        for rank in range(2)
        for line in told((place / f"said-{rank}").read_text().splitlines())
    )
    assert "expected the same options, data and versions in all 2" in said
    assert "method.epochs: here 50, there 60" in said
    assert re.search("retain: here [0-9a-f]{12}[.]{3}, there [0-9a-f]{12}[.]{3}", said)
    assert nothing_is_half_written(place)


def test_torchrun_ends_within_seconds_of_a_killed_process(place):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launch, "--nproc-per-node", "2", "-m", "lotus_unlearning", *UNLEARN],
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,  # gloo alone would wait for half an hour
    )
    assert done.returncode != 0
    assert "SIGKILL" in done.stderr
    # torchrun ends the first process, sometimes before that has seen what happened
    assert told(done.stderr.splitlines()) in ([], [LOST])
    assert "gloo" not in done.stderr
    assert nothing_is_half_written(place)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--forgetting", "0.2"], "--forgetting"),
        (["--forget", "ids:999"], "forget: expected official ids"),
    ],
)
def test_a_mistake_before_any_work_is_said_once(place, more, error):
    codes = together(2, commands_of_lost.run, place, UNLEARN + more)
    assert 0 not in codes
    said = told(line for n in "01" for line in (place / f"said-{n}").read_text().splitlines())
    assert len(said) == 1
    assert error in said[0]


def test_nobody_waits_for_ever_for_a_process_that_hangs(tmp_path):
    codes = together(2, commands_of_lost.keeps_waiting, tmp_path)
    assert codes == [3, 3]
    assert "one did not answer for" in (tmp_path / "said-0").read_text()


def test_with_a_checkpoint_the_same_command_goes_on_and_says_so(tmp_path):
    output = Output("train", [], SimpleNamespace(checkpoint=str(tmp_path)), tmp_path, Processes())
    alone = "the same command does it again"
    for known, end in (
        (False, alone),
        (True, f"{alone}, from the checkpoint in {str(tmp_path)!r} on"),
    ):
        if known:
            (tmp_path / FILE).touch()
        with pytest.raises(ConnectionError) as found, output.kept(), Processes(2).in_touch():
            raise RuntimeError("Connection closed by peer")
        assert str(found.value).endswith(end)


@pytest.mark.parametrize("count", ["2", "abc", "", "0", "-1"])
def test_a_number_of_processes_that_nobody_started_is_refused(count, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", count)
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert main(["train", "--out", "xx"]) == 1
    told = capsys.readouterr().err
    assert f"got {count!r} without RANK, MASTER_ADDR, MASTER_PORT; start it with torchrun" in told
    assert len(told.splitlines()) == 1
