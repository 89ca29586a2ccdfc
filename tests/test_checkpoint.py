"""Killed at any moment and started again, a run ends with the bits of one that was not killed."""

import errno
import multiprocessing
import os
import random
import re
import signal
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch
import toy
from contract import ROWS, splits
from safetensors.torch import load_file, load_model
from torch import nn

import stopped
from lotus_unlearning import SCRUB, UNSIR, LoTUS
from lotus_unlearning.methods import METHODS
from lotus_unlearning.runtime import nested
from lotus_unlearning.runtime.checkpoint import FILE
from worlds import together

KILLS = {"unlearn": 30, "train": 15}


class Stop(Exception):
    """In the middle of a run."""


@pytest.fixture(scope="module")
def forks():
    """Processes that start with everything imported."""
    with pytest.MonkeyPatch.context() as patch:
        place = str(Path(__file__).parent)  # where the server finds ``stopped``
        patch.setenv("PYTHONPATH", place, prepend=os.pathsep)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["stopped"])
        forkserver.ensure_running()
    return context


def same(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("kind", stopped.KINDS)
@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_ends_with_the_same_bits(kind, forks, tmp_path):
    # the second one tells how long a run takes: the first one warms up
    _, expected = (stopped.run(kind, tmp_path / name) for name in ("first", "second"))
    moments, kills, attempt = random.Random(0), 0, 0
    while kills < KILLS[kind]:
        attempt += 1
        folder, made = tmp_path / f"{attempt}", tmp_path / f"{attempt}.safetensors"
        while not made.exists():
            process = forks.Process(target=stopped.run_to_file, args=(kind, folder, str(made)))
            process.start()
            process.join(moments.uniform(0.05, 1.2 * expected.seconds))
            if process.is_alive() and kills < KILLS[kind]:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            process.join()
            assert process.exitcode in (0, -signal.SIGKILL)
        found = stopped.model()
        load_model(found, made)
        assert same(found, expected.model)
        assert [path.name for path in folder.iterdir() if path.name != FILE] in (
            [],
            [f".{FILE}.tmp"],  # what was being written when it was killed
        )


@contextmanager
def stopping_after(writes):
    """The run in the block ends right after so many checkpoints were written."""
    left, write = [writes], nested.write

    def until(path, value):
        write(path, value)
        left[0] -= 1
        if left[0] == 0:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nested, "write", until)
        with pytest.raises(Stop):
            yield


MORE = {
    "lotus, best kept": LoTUS(epochs=3, learning_rate=1e-2, target_accuracy=0.2, batch_size=8),
    "scrub, rewound": SCRUB(
        epochs=3, learning_rate=1e-2, forget_batch_size=8, retain_batch_size=8, rewind=True
    ),
}


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("name", [*METHODS, *MORE])
@pytest.mark.parametrize("epochs", [1, 2])
def test_every_method_goes_on_to_the_same_bits(name, make, epochs, tmp_path):
    method, model, parts = {**ROWS, **MORE}[name], toy.trained(make), splits()
    whole = toy.run(model, parts, method)
    with stopping_after(min(epochs, len(whole.history))):
        toy.run(model, parts, method, checkpoint=tmp_path)
    again = toy.run(model, parts, method, checkpoint=tmp_path)
    assert same(again.model, whole.model)
    assert again.history == whole.history


def test_several_processes_go_on_to_the_same_bits(tmp_path):
    """Each has dropout of its own."""
    assert together(2, stopped.run_in_two_parts, tmp_path) == [0, 0]
    files = {path.stem: load_file(path) for path in tmp_path.glob("*.safetensors")}
    assert files.keys() == {"whole-0", "whole-1", "parts-0", "parts-1"}
    for found in files.values():
        assert all(torch.equal(found[key], value) for key, value in files["whole-0"].items())


def test_unsir_by_class_goes_on_to_the_same_bits(tmp_path):
    model, parts = toy.trained(), toy.splits("class")
    whole = toy.run(model, parts, UNSIR())
    with stopping_after(1):
        toy.run(model, parts, UNSIR(), checkpoint=tmp_path)
    assert same(toy.run(model, parts, UNSIR(), checkpoint=tmp_path).model, whole.model)


def test_what_is_done_is_not_done_again(monkeypatch, tmp_path):
    whole = stopped.run("train", tmp_path)
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *_: pytest.fail("it makes a step"))
    again = stopped.run("train", tmp_path)
    assert same(again.model, whole.model)
    assert again.history == whole.history
    assert again.seconds >= whole.seconds * 0.9


def test_time_spent_before_it_was_killed_counts(tmp_path):
    with stopping_after(2):
        stopped.run("train", tmp_path)
    before = nested.read(tmp_path / FILE)["seconds"]
    assert before > 0
    assert stopped.run("train", tmp_path).seconds > before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 4}, "seed: here 4, there 3"),
        ({"precision": "float64"}, "precision: here torch.float64, there torch.float32"),
        ({"batch_size": 8}, "batch_size: here 8, there 128"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(change, named, tmp_path):
    stopped.run("unlearn", tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(ValueError, match=re.escape(named)):
        stopped.run("unlearn", tmp_path, **change)
    assert (tmp_path / FILE).read_bytes() == before


def test_settings_images_and_weights_tell_runs_apart(tmp_path):
    model, parts = toy.trained(), splits()
    toy.run(model, parts, ROWS["lotus"], checkpoint=tmp_path)
    with pytest.raises(ValueError, match="epochs: here 3, there 2"):
        toy.run(model, parts, replace(ROWS["lotus"], epochs=3), checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"method: here .*Finetune, there .*LoTUS"):
        toy.run(model, parts, ROWS["finetune"], checkpoint=tmp_path)
    with pytest.raises(ValueError, match="forget: here"):
        toy.run(model, splits(range(1, 11)), ROWS["lotus"], checkpoint=tmp_path)
    with pytest.raises(ValueError, match="weights: here"):
        toy.run(toy.trained(steps=11), parts, ROWS["lotus"], checkpoint=tmp_path)


def test_a_model_within_a_method_tells_runs_apart(tmp_path):
    model, parts = toy.trained(), splits()
    methods = [replace(ROWS["bad-teacher"], bad_teacher=toy.conv_model(seed)) for seed in (1, 2)]
    toy.run(model, parts, methods[0], checkpoint=tmp_path)
    with pytest.raises(ValueError, match="bad_teacher: here"):
        toy.run(model, parts, methods[1], checkpoint=tmp_path)


@pytest.mark.parametrize("where", [20, -20])
def test_a_changed_byte_is_found(where, tmp_path):
    stopped.run("train", tmp_path)
    contents = bytearray((tmp_path / FILE).read_bytes())
    contents[where] ^= 1
    (tmp_path / FILE).write_bytes(contents)
    with pytest.raises(ValueError, match=r"expected .*checkpoint.safetensors as it was written"):
        stopped.run("train", tmp_path)


def test_a_file_cut_off_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"\x10\x00")
    with pytest.raises(ValueError, match="remove it to begin anew"):
        stopped.run("train", tmp_path)


def test_a_full_disk_keeps_what_was_written_before(monkeypatch, tmp_path):
    import safetensors.torch

    save, left = safetensors.torch.save_file, [2]

    def full(tensors, path, notes):
        left[0] -= 1
        if left[0] < 0:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path, notes)

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(OSError, match=r"after epoch 3, but: .*No space left on device"):
            stopped.run("train", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert nested.read(tmp_path / FILE)["done"] == 2
    whole = stopped.run("train", tmp_path / "whole")
    assert same(stopped.run("train", tmp_path).model, whole.model)


def test_a_folder_that_cannot_be_made_is_said_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="checkpoint: expected a folder at"):
        stopped.run("train", tmp_path / "file" / "folder")


class Forgetful:
    """A method of a user's own that keeps its optimizer to itself."""

    reads = frozenset({"retain"})

    def __call__(self, model, data, run):
        optimizer = torch.optim.Adam(model.parameters())
        for _ in run.epochs(2):
            for x, y, _ in run.batches(data.retain):
                run.step(optimizer, nn.functional.cross_entropy(model(x), y))


def test_a_method_that_would_go_on_wrongly_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"run.epochs\(count, optimizer\)"):
        toy.run(toy.trained(), splits(), Forgetful(), checkpoint=tmp_path)


class TwoLoops:
    """A method of a user's own in two parts."""

    reads = frozenset({"retain"})

    def __call__(self, model, data, run):
        for part in range(2):
            optimizer = torch.optim.Adam(model.parameters(), lr=0.1**part * 0.01)
            for _ in run.epochs(3, optimizer):
                for x, y, _ in run.batches(data.retain):
                    run.step(optimizer, nn.functional.cross_entropy(model(x), y))


@pytest.mark.parametrize("writes", [2, 3, 4, 6])
def test_loops_one_after_the_other_go_on_to_the_same_bits(writes, tmp_path):
    model, parts = toy.trained(), splits()
    whole = toy.run(model, parts, TwoLoops())
    with stopping_after(writes):
        toy.run(model, parts, TwoLoops(), checkpoint=tmp_path)
    again = toy.run(model, parts, TwoLoops(), checkpoint=tmp_path)
    assert same(again.model, whole.model)
    assert again.history == whole.history


def test_what_a_file_cannot_keep_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"value\['a'\]\[1\]: expected tensors, numbers"):
        nested.write(tmp_path / "file", {"a": [1, {2}]})
    assert list(tmp_path.iterdir()) == []


def test_nested_values_come_back_as_they_were(tmp_path):
    half = torch.rand(3, 2, 4, 4).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    value = {"a": {0: half, "b": (1, 2.5, None, True)}, "c": [float("inf"), "", []], "d": {}}
    nested.write(tmp_path / "file", value)
    found = nested.read(tmp_path / "file")
    assert torch.equal(found["a"].pop(0), half)
    del value["a"][0]
    assert found == value
    assert isinstance(found["a"]["b"], tuple)
