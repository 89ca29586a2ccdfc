"""A checkpoint is taken up by the run that it is of, and by no other."""

import re
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
import toy
from contract import ROWS, splits
from torch import nn

import stopped
from lotus_unlearning import ImageTensors, SalUn, Splits
from lotus_unlearning.images import as_images
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.runtime import facts as facts_of
from lotus_unlearning.runtime.facts import differences, facts, identity, told
from lotus_unlearning.splits import Split


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


def of(split_of):
    return identity(Split("some", split_of, torch.arange(len(split_of))))


def test_other_images_with_the_same_ids_and_labels_are_refused(tmp_path):
    model, (images, labels) = toy.trained(), toy.data()
    parts = [Splits.from_ids((x, labels), forget=[1, 2]) for x in (images, images + 1e-6)]
    toy.run(model, parts[0], ROWS["finetune"], checkpoint=tmp_path)
    with pytest.raises(ValueError, match="retain: here"):
        toy.run(model, parts[1], ROWS["finetune"], checkpoint=tmp_path)


def test_preprocessing_and_types_tell_images_apart():
    pixels, labels = torch.zeros(4, 1, 6, 6, dtype=torch.uint8), torch.arange(4)

    def scaled(by):
        return lambda x: x.float() * by

    kinds = [
        ImageTensors(pixels, labels),
        ImageTensors(pixels.float(), labels),
        ImageTensors(pixels[:, :, :3], labels),
        ImageTensors(pixels, labels, scaled(1)),
        ImageTensors(pixels, labels, scaled(2)),
        ImageTensors(pixels, labels, partial(torch.mul, other=2)),
    ]
    assert len({of(kind) for kind in kinds}) == len(kinds)
    assert of(ImageTensors(pixels.clone(), labels, scaled(2))) == of(kinds[4])


def test_of_very_many_pixels_a_spread_sample_is_looked_at(monkeypatch):
    monkeypatch.setattr(facts_of, "HASHED_BYTES", 5 * 36)
    pixels, labels = torch.zeros(1000, 1, 6, 6, dtype=torch.uint8), torch.zeros(1000).long()
    before = of(ImageTensors(pixels, labels))
    for at, seen in ((0, True), (1, False)):
        other = pixels.clone()
        other[at] = 1
        assert (of(ImageTensors(other, labels)) != before) == seen


class FromDisk(torch.utils.data.Dataset):
    """Images that are read one by one."""

    def __init__(self, shift=0.0, noise=0.0):
        self.targets, self.shift, self.noise = [0, 1] * 50, shift, noise

    def __len__(self):
        return 100

    def __getitem__(self, i):
        return torch.full((1, 2, 2), i / 100 + self.shift) + self.noise * torch.rand(1), i % 2


def test_images_read_from_a_disk_are_told_apart_by_some_of_them(monkeypatch):
    monkeypatch.setattr("lotus_unlearning.images.taking.MEMORY_SHARE", 0.0)
    same, again, other = (as_images(FromDisk(shift), "train") for shift in (0, 0, 0.1))
    assert of(same) == of(again) != of(other)
    random = [as_images(FromDisk(noise=1.0), "train") for _ in range(2)]
    assert random[0].random
    assert of(random[0]) == of(random[1])


def test_models_in_methods_within_methods_tell_runs_apart(tmp_path):
    model, parts = toy.trained(), splits()
    within = [
        SalUn(inner=replace(ROWS["bad-teacher"], bad_teacher=toy.conv_model(seed)))
        for seed in (1, 2)
    ]
    toy.run(model, parts, within[0], checkpoint=tmp_path)
    with pytest.raises(
        ValueError, match=r"method\.inner\.bad_teacher: here .*Sequential \w{12}\.\.\."
    ):
        toy.run(model, parts, within[1], checkpoint=tmp_path)


class OfMyOwn:
    """No dataclass."""

    reads = frozenset({"retain"})

    def __init__(self, rate=0.1, model=None, more=()):
        self.rate, self.model, self.more = rate, model, more
        self.me = self

    def __call__(self, model, data, run):
        pass


class Plain:
    """Says nothing of itself but its address."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (OfMyOwn(0.1), OfMyOwn(0.2)),
        (OfMyOwn(model=toy.conv_model(1)), OfMyOwn(model=toy.conv_model(2))),
        (OfMyOwn(more=[toy.conv_model(1)]), OfMyOwn(more=[toy.conv_model(2)])),
        (OfMyOwn(more={"a": np.zeros(3)}), OfMyOwn(more={"a": np.ones(3)})),
        (OfMyOwn(more=torch.zeros(9)), OfMyOwn(more=torch.ones(9))),
        (OfMyOwn(more=partial(max, 1)), OfMyOwn(more=partial(max, 2))),
        (OfMyOwn(more="a" * 300 + "b"), OfMyOwn(more="a" * 300 + "c")),
    ],
)
def test_what_an_object_holds_tells_it_apart(one, other):
    (differs,) = differences(told("method", one), told("method", other)) or [""]
    assert re.match(r"method\.(rate|model|more)", differs)
    assert len(differs) < 500


def test_addresses_tell_nothing():
    one, other = (OfMyOwn(more=[object(), Plain(), {*"abc"}, lambda: 0]) for _ in range(2))
    assert told("method", one) == told("method", other)


@dataclass(frozen=True)
class Shadowing:
    """Calls its own settings as those of the run."""

    batch_size: int = 5
    seed: int = 6
    device: str = "x"


def test_settings_called_as_those_of_the_run_are_told_beside_them():
    run = Runtime(batch_size=7, seed=8)
    found = facts("method", Shadowing(), nn.Linear(1, 1), {}, run)
    names = ("method.batch_size", "batch_size", "method.seed", "seed", "method.device", "device")
    assert [found[name] for name in names] == ["5", "7", "6", "8", "'x'", "cpu"]


@pytest.mark.parametrize("name", ["device", "processes", "torch", "lotus-unlearning"])
def test_where_and_by_what_it_is_computed_tells_runs_apart(name, monkeypatch, tmp_path):
    """The states of a CPU's generators are of no use to a GPU."""
    stopped.run("train", tmp_path)
    elsewhere = facts_of.facts
    monkeypatch.setattr(
        "lotus_unlearning.runtime.agreement.facts",
        lambda *words: {**elsewhere(*words), name: "another"},
    )
    with pytest.raises(ValueError, match=f"{name}: here another, there "):
        stopped.run("train", tmp_path)


def test_of_a_file_of_another_format_nothing_else_is_said(monkeypatch, tmp_path):
    stopped.run("train", tmp_path)
    monkeypatch.setattr(facts_of, "FORMAT", 1000)
    with pytest.raises(ValueError, match=r"got another's \(format: here 1000, there \d+\)"):
        stopped.run("train", tmp_path, seed=4)


def test_what_is_shown_alike_is_told_apart():
    one, other = "a" * 12 + "b" * 52, "a" * 12 + "c" * 52
    assert differences({"weights": one}, {"weights": other}) == [
        f"weights: here {'a' * 12}..., there {'a' * 12}..."
    ]
