"""A disk that is full, at any moment: a sentence, and all that was there before is there still."""

import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from few_digits import IDS, SMALL

from lotus_unlearning import runs
from lotus_unlearning.cli import main

ROOM = "expected room on the disk"
GRID = """
title: "Two methods"
blocks:
  - name: few-digits
    data: {name: digits, limit: 100}
    model: resnet-thin
    recipe: {epochs: 1}
    precision: float32
methods: [ssd, finetune]
seeds: 1
golds: 1
"""


@contextmanager
def room_for(size):
    """No file may grow beyond ``size`` bytes: writes fail in the kernel, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def tree(place):
    """Every file, hidden ones too, with its contents."""
    return {p: p.read_bytes() if p.is_file() else b"" for p in sorted(place.rglob("*"))}


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A working folder with a copy of a trained run."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "original", tmp_path / "original")
    return tmp_path


def test_weights_that_do_not_fit_leave_nothing_and_earlier_runs_as_they_were(place, capsys):
    before = tree(place)
    words = ["unlearn", "--model", "original", "--forget", f"ids:{IDS[0]},{IDS[1]}"]
    with room_for(10_000):
        assert main([*words, "--method.epochs", "1", "--out", "out"]) == 1
    told = capsys.readouterr().err
    assert f"{ROOM} for " in told
    assert "File too large" in told
    assert "start the same command again" in told
    assert tree(place) == before
    assert runs.read("original").model() is not None


def test_a_page_that_does_not_fit_leaves_the_old_one(place, unlearn, capsys):
    status, out = unlearn("--method.epochs", "1")
    assert status == 0
    before = tree(out)
    with room_for(10_000):
        assert main(["report", str(out)]) == 1
    assert ROOM in capsys.readouterr().err
    assert tree(out) == before


def test_a_bank_that_does_not_fit_keeps_its_models_and_goes_on_later(place, capsys):
    words = ["bank", "--model", "original", "--forget", f"ids:{IDS[0]}", "--out", "bank"]
    assert main([*words, "--golds", "1"]) == 0
    before = tree(place / "bank")
    with room_for(1_000):
        assert main([*words, "--golds", "2"]) == 1
    assert "File too large" in capsys.readouterr().err
    after = tree(place / "bank")
    assert before.items() <= after.items()
    assert not [path for path in after if path.name.startswith(".")]
    assert main([*words, "--golds", "2"]) == 0
    assert "2 gold models" in capsys.readouterr().out


def test_a_table_that_does_not_fit_keeps_its_cells_and_goes_on_later(place, capsys):
    (place / "small.yaml").write_text(GRID)
    words = ["bench", "small.yaml", "--out", "table", "--device", "cpu"]
    assert main([*words, "--methods", "ssd"]) == 0
    before = tree(place / "table/cells")
    assert len(before) == 4
    with room_for(1_000):
        assert main(words) == 1
    assert "File too large" in capsys.readouterr().err
    after = tree(place / "table")
    assert tree(place / "table/cells") == before
    assert not [path for path in after if path.name.startswith(".")]
    assert main(words) == 0
    assert "5 of 5 done" in capsys.readouterr().err


def test_a_request_that_does_not_fit_is_pending_and_the_old_model_served(place, capsys):
    where = ["--workspace", "deletion"]
    method = ["--method", "finetune", "--method.epochs", "1"]
    assert main(["request", "init", "--model", "original", *method, *where]) == 0
    assert main(["request", "add", "--ids", str(IDS[0]), "--only", *where]) == 0
    served = tree(place / "deletion/runs")
    capsys.readouterr()
    with room_for(50_000):
        assert main(["request", "run", *where]) == 1
    assert "File too large" in capsys.readouterr().err
    assert tree(place / "deletion/runs") == served
    assert (place / "deletion/current").resolve().name == "0000"
    assert main(["request", "list", *where]) == 0
    assert "pending: 1" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path):
    """A disk of as many bytes as asked for."""
    mounted = []

    def mount(size):
        disk = tmp_path / "disk"
        disk.mkdir(exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
        if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
            pytest.skip("file systems may not be mounted here: only root may, on some machines")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("more", [-8192, 4096])
def test_on_a_full_disk_a_run_is_not_there_or_its_weights_are_kept(
    trained, small_disk, capsys, more
):
    weights = (trained / "original/model.safetensors").stat().st_size
    disk = small_disk(weights + more)
    assert main(["train", *SMALL, "--out", str(disk / "out")]) == 1
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert not (disk / "out").exists()
    if more < 0:
        assert list(disk.iterdir()) == []
    else:
        kept = Path(told.strip().rpartition("what was computed is kept in ")[2])
        assert (kept / "model.safetensors").stat().st_size == weights


def test_a_read_only_place_is_found_out_before_the_work(trained, tmp_path, monkeypatch, capsys):
    """The folder of processes: nobody, root included, can make a folder there."""
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc here")
    monkeypatch.setattr("lotus_unlearning.cli.options.load_data", lambda _: pytest.fail("worked"))
    assert main(["train", *SMALL, "--out", "/proc/lotus"]) == 1
    assert "out: expected a place that can be written to, got '/proc/lotus'" in (
        capsys.readouterr().err
    )


def test_help_that_does_not_fit_is_told_of_in_a_sentence():
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        done = lotus("--help", stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith(f"lotus: {ROOM}, got: No space left on device")
    assert len(done.stderr.splitlines()) == 1


def lotus(*words, **more):
    call = [sys.executable, "-m", "lotus_unlearning", *words]
    return subprocess.run(call, stderr=subprocess.PIPE, text=True, **more)
