"""The folder of a checkpoint belongs to one run at a time, and is one that can be written to."""

import errno
import os
import signal
from pathlib import Path

import pytest
from few_digits import SMALL

import stopped
from lotus_unlearning.cli import main
from lotus_unlearning.files.claims import claim
from lotus_unlearning.runtime import claimed, nested
from lotus_unlearning.runtime.checkpoint import FILE
from lotus_unlearning.runtime.processes import Processes

LOCK = claimed._LOCK


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claimed, "_LINGER", 0)


def refused(words, monkeypatch, capsys):
    monkeypatch.setattr("lotus_unlearning.cli.options.load_data", lambda _: pytest.fail("worked"))
    assert main(["train", *SMALL, *words]) == 1
    return capsys.readouterr().err


def test_a_folder_that_another_run_has_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / FILE).write_text("as it was")
    with claim(tmp_path / "kept" / LOCK):
        told = refused(["--checkpoint", "kept", "--out", "out"], monkeypatch, capsys)
        assert "'kept', which is in use by another run; choose another folder" in told
        with pytest.raises(ValueError, match="in use by another run"):
            stopped.run("train", tmp_path / "kept")
        claimed.discard("kept")
        assert (tmp_path / "kept" / FILE).read_text() == "as it was"
    claimed.discard("kept")
    assert list(tmp_path.iterdir()) == []


def test_a_run_has_its_folder_until_it_is_over(tmp_path, monkeypatch):
    write, seen = nested.write, []

    def watched(path, value):
        seen.append(claim(path.with_name(LOCK)))
        write(path, value)

    monkeypatch.setattr(nested, "write", watched)
    stopped.run("train", tmp_path)
    assert seen == [None] * 6
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_run_that_is_killed_has_no_folder(tmp_path):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with claimed.claimed(tmp_path, Processes()):
            os.write(writer, b"1")
            signal.pause()
    os.read(reader, 1)
    assert claim(tmp_path / LOCK) is None
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / LOCK).exists()
    with claimed.claimed(tmp_path, Processes()):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_several_processes_the_first_has_the_folder(tmp_path):
    with claimed.claimed(tmp_path / "kept", Processes(2, 0)):
        assert (tmp_path / "kept" / LOCK).exists()
        with claimed.claimed(tmp_path / "kept", Processes(2, 1)):
            pass
        assert claim(tmp_path / "kept" / LOCK) is None


@pytest.mark.parametrize(("place", "why"), [("/proc/self", ""), ("circle", "symbolic links")])
def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(
    place, why, tmp_path, monkeypatch, capsys
):
    """The folder of processes: nobody, root included, can make a file there."""
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc here")
    (tmp_path / "circle").symlink_to("circle")
    told = refused(["--checkpoint", place, "--out", "out"], monkeypatch, capsys)
    assert f"checkpoint: expected a place that can be written to, got '{place}" in told
    assert why in told
    with pytest.raises(ValueError, match="checkpoint: expected a"):
        stopped.run("train", place)


@pytest.mark.parametrize("target", ["nowhere", "circle", "empty"])
def test_a_link_is_no_new_folder_for_a_run(target, tmp_path, monkeypatch, capsys):
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").symlink_to(target)
    told = refused(["--out", "out"], monkeypatch, capsys)
    assert "out: expected a new or empty folder, got 'out', which is a link; choose" in told


@pytest.mark.parametrize(("code", "advice"), [("ENOSPC", "make room"), ("EROFS", "see to it that")])
def test_room_is_asked_for_where_there_is_none(code, advice, tmp_path, monkeypatch):
    def fail(path, value):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(nested, "write", fail)
    with pytest.raises(OSError, match=f"after epoch 1, but: .* is kept: {advice}"):
        stopped.run("train", tmp_path)
