"""The commands, by two processes that torchrun starts: one writes and speaks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands_of_lost import MODULE, RAISES
from commands_together import COMMANDS
from safetensors.torch import load_file

from lotus_unlearning import runs
from lotus_unlearning.cli import main

HERE = Path(__file__).parent
RUNS = ("original", "gold", "runs/unlearned", "runs/evaluation", "runs/demo")


TORCHRUN = ("torch.distributed.run", "--standalone")
ACCELERATE = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")


def launched(place, *words):
    """What two processes of torchrun said."""
    return by([*TORCHRUN, "--nproc-per-node", "2"], place, *words)


def by(launcher, place, *words):
    """What two processes of a launcher said, together and in the end."""
    return subprocess.run(
        [sys.executable, "-m", *launcher, *words],
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Folders in which one and two processes ran all commands, and what the two said."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    done = launched(two, str(HERE / "commands_together.py"))
    assert done.returncode == 0, done.stderr[-4000:]
    before = Path.cwd()
    os.chdir(one)
    try:
        assert [main(words) for words in COMMANDS] == [0] * len(COMMANDS)
    finally:
        os.chdir(before)
    return one, two, done


def test_two_processes_write_what_one_does(both):
    one, two, _ = both
    for place in ("original", "gold", "runs"):
        files = [sorted(str(p.relative_to(w)) for p in (w / place).rglob("*")) for w in (one, two)]
        assert files[0] == files[1]
    for name in RUNS:
        assert runs.read(two / name).manifest["processes"] == 2
        if name != "runs/evaluation":
            a, b = (load_file(place / name / "model.safetensors") for place in (one, two))
            assert all((a[key] - b[key]).abs().max() < 1e-6 for key in a)


@pytest.mark.parametrize("name", ["gold", "unlearned", "evaluation"])
def test_with_a_part_of_the_model_each_they_write_the_same(both, name):
    one, two, _ = both
    there, here = two / "sharded" / name, one / ("gold" if name == "gold" else f"runs/{name}")
    assert runs.read(there).config["shard"] is True
    assert sorted(p.name for p in there.iterdir()) == sorted(p.name for p in here.iterdir())
    if name == "evaluation":
        found, expected = (values(place) for place in (there, here))
        for measure in expected.keys() - {"seconds", "peak_memory_bytes"}:
            assert found[measure] == pytest.approx(expected[measure], abs=1e-6)
    else:
        a, b = (load_file(place / "model.safetensors") for place in (there, here))
        assert all((a[key] - b[key]).abs().max() < 1e-6 for key in b)


def test_one_process_cannot_share_a_model(capsys):
    assert main(["train", "--shard"]) == 1
    assert "shard: expected several processes to share a model, got one" in capsys.readouterr().err


def test_of_two_processes_one_speaks(both):
    _, _, done = both
    assert done.stdout.count("| Accuracy on forget") == 5
    assert done.stderr.count("trained in") == 3
    assert done.stderr.count("page: runs/demo/report.html") == 1
    assert "Warning" not in done.stderr


def test_two_processes_measure_what_one_does(both):
    one, two, _ = both
    tables = [values(place / "runs/demo") for place in (one, two)]
    for measure in tables[0].keys() - {"seconds", "peak_memory_bytes"}:
        assert tables[0][measure] == pytest.approx(tables[1][measure], abs=1e-6)


def values(run):
    """By measure."""
    table = json.loads((run / "metrics.json").read_text())["table"]
    return {row["measure"]: row["values"] for row in table}


def failure(place, *words):
    """Lines that lotus said before both processes ended."""
    done = launched(place, "-m", "lotus_unlearning", *words)
    assert done.returncode != 0
    assert done.stdout == ""
    return [line for line in done.stderr.splitlines() if line.startswith("lotus ")]


def test_accelerate_launch_starts_them_too(both, tmp_path):
    one, _, _ = both
    done = by(ACCELERATE, tmp_path, "-m", "lotus_unlearning", *COMMANDS[0])
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("trained in") == 1
    assert runs.read(tmp_path / "original").manifest["processes"] == 2
    a, b = (load_file(place / "original" / "model.safetensors") for place in (one, tmp_path))
    assert all((a[key] - b[key]).abs().max() < 1e-6 for key in a)


def test_a_mistake_is_said_once(tmp_path):
    (tmp_path / "x").write_text("")
    assert failure(tmp_path, "train", "--out", "x/y") == [
        "lotus train: out: expected a place that can be written to, got 'x/y': Not a directory"
    ]


def test_an_error_in_the_second_process_alone_ends_both(tmp_path):
    (tmp_path / "alone.py").write_text(MODULE.replace("DIES", RAISES))
    words = ["--data", "python:alone:make", "--model", "python:alone:model", "--out", "out"]
    said = failure(tmp_path, "train", *words, "--recipe.batch_size", "8", "--recipe.epochs", "200")
    error = "lotus train: ArithmeticError: only process 1 miscalculates"
    assert len(said) == 1
    assert said[0].startswith(f"{error} ({tmp_path / 'alone.py'}, line ")
    assert not (tmp_path / "out").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".out")]


@pytest.mark.parametrize("command", ["bench", "report", "data"])
def test_what_is_not_shared_is_refused_by_the_first_of_several(monkeypatch, capsys, command):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([command]) == 1
    assert "expected one process, got WORLD_SIZE=2" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert main([command]) == 1
    assert capsys.readouterr().err == ""
