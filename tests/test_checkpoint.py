"""Killed at any moment and started again, a run ends with the bits of one that was not killed."""

import os
import random
import re
import signal
from contextlib import contextmanager
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
from worlds import forks_with, together

KILLS = {"unlearn": 30, "train": 15}


class Stop(Exception):
    """In the middle of a run."""


@pytest.fixture(scope="module")
def forks():
    return forks_with("stopped", Path(__file__).parent)


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
def test_every_method_goes_on_to_the_same_bits_from_every_epoch(name, make, tmp_path):
    method, model, parts = {**ROWS, **MORE}[name], toy.trained(make), splits()
    whole = toy.run(model, parts, method)
    for epochs in range(1, len(whole.history) + 1):
        place = tmp_path / f"{epochs}"
        with stopping_after(epochs):
            toy.run(model, parts, method, checkpoint=place)
        again = toy.run(model, parts, method, checkpoint=place)
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


class WithAStepBefore(TwoLoops):
    """A step before the loop, whose loss belongs to the first epoch."""

    def __call__(self, model, data, run):
        optimizer = torch.optim.Adam(model.parameters())
        x, y, _ = next(run.batches(data.retain))
        run.step(optimizer, 100 * nn.functional.cross_entropy(model(x), y))
        super().__call__(model, data, run)


@pytest.mark.parametrize("writes", [1, 2])
def test_losses_before_the_loop_are_not_taken_for_those_of_a_later_epoch(writes, tmp_path):
    model, parts = toy.trained(), splits()
    whole = toy.run(model, parts, WithAStepBefore())
    with stopping_after(writes):
        toy.run(model, parts, WithAStepBefore(), checkpoint=tmp_path)
    again = toy.run(model, parts, WithAStepBefore(), checkpoint=tmp_path)
    assert again.history == whole.history


class LoopInLoop:
    """A method of a user's own."""

    reads = frozenset({"retain"})

    def __call__(self, model, data, run):
        for _ in run.epochs(2):
            for _ in run.epochs(2):
                pass


def test_a_loop_within_another_is_refused_only_with_a_checkpoint(tmp_path):
    toy.run(toy.trained(), splits(), LoopInLoop())
    with pytest.raises(TypeError, match="one behind the other, got one within another"):
        toy.run(toy.trained(), splits(), LoopInLoop(), checkpoint=tmp_path)


class LeftEarly:
    """A method of a user's own that breaks out of its first loop."""

    reads = frozenset({"retain"})

    def __call__(self, model, data, run):
        for epoch in run.epochs(3):
            if epoch == 1:
                break
        for _ in run.epochs(1):
            pass


def test_a_loop_that_was_left_is_over(tmp_path):
    found = toy.run(toy.trained(), splits(), LeftEarly(), checkpoint=tmp_path)
    assert [row["epoch"] for row in found.history] == [0, 1, 2]


class ByVersion(nn.Module):
    """Reads a state only if it says of which version it is, as torchvision's MNASNet does."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.layers = toy.norm_model()

    def forward(self, x):
        return self.layers(x)

    def _load_from_state_dict(self, state, prefix, metadata, *more):
        if metadata.get("version") != 2:
            raise ValueError("version should be 2")
        super()._load_from_state_dict(state, prefix, metadata, *more)


@pytest.mark.parametrize("name", ["lotus", *MORE])
def test_models_that_need_the_version_of_a_state_are_taken_up(name, tmp_path):
    method, model, parts = {**ROWS, **MORE}[name], ByVersion().eval(), splits()
    whole = toy.run(model, parts, method)
    with stopping_after(1):
        toy.run(model, parts, method, checkpoint=tmp_path)
    assert same(toy.run(model, parts, method, checkpoint=tmp_path).model, whole.model)


def test_that_it_goes_on_is_said(tmp_path, capsys):
    with stopping_after(2):
        stopped.run("train", tmp_path, progress=True)
    assert "goes on" not in capsys.readouterr().err
    stopped.run("train", tmp_path, progress=True)
    assert "goes on from its checkpoint, after epoch 2 of 6" in capsys.readouterr().err
