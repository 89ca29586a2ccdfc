"""Predictions that are too many for memory are kept in a file, which changes next to nothing."""

import errno
import math
import os
import subprocess
import sys
import tempfile
import weakref

import pytest
import torch
from torch import nn

from lotus_unlearning import SCRUB, UNSIR, BadTeacher, LoTUS, Splits, unlearn
from lotus_unlearning.losses import distillation
from lotus_unlearning.methods import Regrow, Understudy
from lotus_unlearning.runtime import Processes, Runtime, stored
from lotus_unlearning.splits import Split

SHARE = "lotus_unlearning.runtime.stored.PREDICTION_SHARE"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 10))


@pytest.fixture
def splits():
    draw = torch.Generator().manual_seed(1)
    images, labels = torch.rand(600, 3, 4, 4, generator=draw), torch.arange(600) % 10
    return Splits.random((images, labels), fraction=0.2, unseen=(images[:90] / 2, labels[:90]))


def whole(splits):
    return Split("train", splits.forget.source, torch.arange(600))


def test_in_memory_they_are_what_the_model_says(model, splits):
    split = whole(splits)
    found = Runtime().predict(model, split)
    x = split.source.images
    with torch.no_grad():
        expected = torch.cat([model(x[i : i + 256]) for i in (0, 256, 512)])
    assert torch.equal(found, expected)


def test_in_a_file_their_order_and_probabilities_stay(model, splits, monkeypatch):
    sure = nn.Sequential(model, Times(8.0))
    expected = Runtime().predict(sure, whole(splits))
    monkeypatch.setattr(SHARE, 0.0)
    run = Runtime()
    kept = run.teacher(sure, whole(splits))
    assert kept.dtype is torch.half
    assert torch.equal(kept.argmax(dim=1), expected.argmax(dim=1))
    positions = torch.randperm(600)
    found = run.rows(kept, positions)
    assert found.dtype is torch.float32
    error = (found.softmax(dim=1) - expected[positions].softmax(dim=1)).abs().max()
    assert 0 < error < 3e-4
    assert torch.equal(run.rows(kept, slice(7, 9)), run.rows(kept, torch.tensor([7, 8])))


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


@pytest.mark.parametrize(
    "method",
    [
        LoTUS(epochs=3, learning_rate=1e-2),
        SCRUB(epochs=2, max_steps=1),
        BadTeacher(epochs=2),
        Regrow(epochs=2, least_steps=1),
        Understudy(least_steps=1, epochs=2),
    ],
    ids=lambda method: type(method).__name__,
)
def test_methods_come_to_nearly_the_same_weights_with_a_teacher_in_a_file(
    model, splits, method, monkeypatch
):
    def weights():
        made = unlearn(model, splits, method, device="cpu", progress=False).model
        return torch.cat([p.flatten() for p in made.parameters()])

    start = torch.cat([p.flatten() for p in model.parameters()])
    before = weights()
    monkeypatch.setattr(SHARE, 0.0)
    after = weights()
    assert 0 < (after - before).norm() < 0.02 * (before - start).norm()


def test_what_is_no_softmax_keeps_what_the_model_said(model, splits, monkeypatch):
    """The noise of UNSIR is learnt by squared errors, its range from pixels, not logits."""

    def weights():
        made = unlearn(model, splits, UNSIR(mode="instance"), device="cpu", progress=False).model
        return torch.cat([p.flatten() for p in made.parameters()])

    before, run, split = weights(), Runtime(), whole(splits)
    said, right = run.predict(model, split), run.accuracy(model, split)
    monkeypatch.setattr(SHARE, 0.0)
    assert torch.equal(weights(), before)
    assert torch.equal(run.predict(model, split), said)
    assert run.accuracy(model, split) == right


def test_logits_below_what_halves_reach_are_a_probability_of_0(splits, monkeypatch):
    low = torch.tensor([0.0, -1.0, -70_000.0, -math.inf])
    monkeypatch.setattr(SHARE, 0.0)
    run = Runtime()
    kept = run.rows(run.kept([low.expand(8, 4)], 8, logits=True), slice(0, 8))
    assert kept.isfinite().all()
    assert torch.allclose(kept.softmax(dim=1), low.expand(8, 4).softmax(dim=1), atol=1e-4)
    loss = distillation(torch.zeros(8, 4), kept, 1.0)
    assert loss.isfinite()


def test_one_file_of_targets_is_gone_before_the_next_is_made(model, splits, monkeypatch):
    made, alive, targets = [], [], LoTUS._targets

    def watched(*arguments):
        alive.append(sum(one() is not None for one in made))
        smooth, drawn = targets(*arguments)
        made.append(weakref.ref(smooth))
        return smooth, drawn

    monkeypatch.setattr(SHARE, 0.0)
    monkeypatch.setattr(LoTUS, "_targets", watched)
    unlearn(model, splits, LoTUS(epochs=3, learning_rate=1e-2), device="cpu", progress=False)
    assert alive == [0, 0, 0]


def test_several_processes_keep_all_in_memory(monkeypatch):
    monkeypatch.setattr(SHARE, 0.0)
    rows = [torch.ones(8, 4)]
    assert Runtime().kept(rows, 8).dtype is torch.half
    assert Runtime(processes=Processes(count=2)).kept(rows, 8).dtype is torch.float32


def test_targets_of_blocks_are_of_the_same_law_as_those_of_one(model, splits, monkeypatch):
    """Of forget images a row, of retain images a class, wherever a block ends."""
    teacher, run = Runtime().predict(model, whole(splits)), Runtime()
    method = LoTUS(smoothing="softmax")
    one, _ = method._targets(teacher, 250, 0.7, run)
    monkeypatch.setattr("lotus_unlearning.methods.lotus._BLOCK", 77 * 10)
    many, drawn = method._targets(teacher, 250, 0.7, run)
    assert torch.equal(one, many)
    assert (many.shape, drawn.shape) == ((250, teacher.shape[1]), (350,))
    share = (drawn == teacher[250:].argmax(dim=1)).double().mean()
    assert 0.1 < share < 0.9


def test_the_file_is_gone_with_the_process_however_it_ends(tmp_path):
    code = """
import os, signal, torch
from lotus_unlearning.runtime import stored
stored.PREDICTION_SHARE = 0.0
kept = stored.collected([torch.ones(8, 4)], 8, may_store=True)
assert kept.dtype is torch.half and kept.sum() == 32
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_before_anything_is_written(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SHARE, 0.0)
    monkeypatch.setattr(stored, "_reserve", full)
    message = rf"expected room for 0\.0 GB in {tempfile.gettempdir()} \(No space left .*set TMPDIR"
    with pytest.raises(ValueError, match=message):
        stored.collected([torch.ones(8, 4)], 8, may_store=True)
