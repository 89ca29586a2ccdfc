"""Batch statistics that several processes share, weights, and what one of them costs alone."""

import pytest
import torch
from torch import nn

import shared_statistics
from lotus_unlearning.runtime import Processes
from lotus_unlearning.runtime.batch_statistics import share_batch_statistics
from lotus_unlearning.runtime.progress import mean_loss
from shared_statistics import NORMS, NUMBERS, SHARDS
from worlds import together

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("statistics")
    assert together(2, shared_statistics.write, folder) == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("number", NUMBERS)
def test_shared_statistics_are_those_of_the_whole_batch(norm, number, both):
    values, buffers = shared_statistics.answers(norm, number, slice(0, 7))
    found = [results[norm, number, "unequal shards"] for results, _ in both]
    for name, value in values.items():
        near(torch.cat([own[name] for own, _ in found]), value, number)
    for name, value in buffers.items():
        for _, own in found:
            near(own[name], value, number)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("number", NUMBERS)
def test_images_that_all_processes_have_count_once(norm, number, both):
    values, buffers = shared_statistics.answers(norm, number, SHARDS["the same images"][0])
    for results, _ in both:
        for found, alone in zip(
            results[norm, number, "the same images"], (values, buffers), strict=True
        ):
            for name, value in alone.items():
                near(found[name], value, number)


def near(found, expected, number):
    error = NUMBERS[number][-1]
    torch.testing.assert_close(found, expected, rtol=error, atol=error)


def test_one_value_is_too_few_for_several_processes_as_for_one(both):
    for _, said in both:
        assert "Expected more than 1 value per channel when training" in said


def test_batch_statistics_of_an_unknown_layer_are_refused_and_not_guessed():
    class Halved(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x) / 2

    with pytest.raises(ValueError, match=r"got Halved \(0\), whose statistics cannot be shared"):
        share_batch_statistics(nn.Sequential(Halved(3)), Processes(count=2))


def test_a_layer_that_predicts_by_the_images_beside_is_refused_of_several_processes():
    model = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    share_batch_statistics(model, Processes())
    with pytest.raises(ValueError, match=r"expected BatchNorm layers with running stat.*got '0'"):
        share_batch_statistics(model, Processes(count=2))


@pytest.mark.parametrize(("count", "sizes"), [(2, [4, 3]), (4, [2, 2, 2, 1]), (8, [7] * 8)])
def test_shards_differ_by_one_image_at_most_and_weigh_as_much_as_they_hold(
    count, sizes, monkeypatch
):
    batch = torch.arange(7)
    members = [Processes(count=count, rank=rank) for rank in range(count)]
    shards = [member.shard(batch) for member in members]
    assert [len(shard) for shard in shards] == sizes
    monkeypatch.setattr(Processes, "total", lambda *_: torch.tensor(float(sum(sizes))))
    weights = [m.weight_of(len(s), CPU) for m, s in zip(members, shards, strict=True)]
    assert sum(weights).item() == pytest.approx(count)
    means = [w * s.double().mean() for w, s in zip(weights, shards, strict=True)]
    assert sum(means).item() / count == pytest.approx(3)


def weighted(monkeypatch, *wholes, sizes, same=False):
    """The gradient that the first process gets of a pass; batches had so many images before."""
    rows = [[size, 1.5 if same else 1.5 + rank] for rank, size in enumerate(sizes)]
    rows = torch.tensor(rows, dtype=torch.float64)
    monkeypatch.setattr(Processes, "gather", lambda *_: rows)
    first = Processes(count=len(sizes))
    for whole in wholes:
        first.shard(torch.arange(whole))
    x = torch.zeros(sizes[0], 1, requires_grad=True)
    first.weighted(x * 1, x).sum().backward()
    return x.grad


@pytest.mark.parametrize(
    ("sizes", "same"),
    [([4, 3], False), ([8, 6], False), ([12, 12], False), ([5, 5], True)],
    ids=["shards", "shards twice", "even shards thrice", "the same images"],
)
def test_gradients_weigh_as_much_as_a_process_has_images_whatever_was_fetched_last(
    sizes, same, monkeypatch
):
    gradient = weighted(monkeypatch, 7, 8, 11, sizes=sizes, same=same)
    assert gradient[:, 0].tolist() == pytest.approx([2 * sizes[0] / sum(sizes)] * sizes[0])


@pytest.mark.parametrize(
    "sizes",
    [[7, 5], [8, 7], [9, 9], [2, 1], [2, 2], [4, 0], [3, 4]],
    ids=[
        "7 and 5",
        "7 and 8",
        "8 and the same 5",
        "some of 7",
        "some of 8",
        "some that one has",
        "in an order of their own",
    ],
)
def test_a_pass_over_joined_batches_or_over_some_images_is_refused(sizes, monkeypatch):
    message = rf"over one batch, .*got {sizes[0]}, {sizes[1]} images in the 2 processes, shards of"
    with pytest.raises(ValueError, match=message):
        weighted(monkeypatch, 7, 5, 8, sizes=sizes)


def test_what_a_gpu_was_not_waited_for_is_seen_when_the_epoch_ends():
    processes = Processes(count=2)
    processes._passes.append(torch.tensor([[7.0, 0.1], [5.0, 0.2]]))
    with pytest.raises(ValueError, match="expected each pass to be over one batch"):
        mean_loss([], 0, processes)


def test_values_of_the_first_process_and_waiting_cost_nothing_alone():
    alone = Processes()
    assert alone.from_first(lambda: 3) == 3
    assert alone.is_first_to_fail()
    with alone.first_goes_ahead():
        alone.wait()
