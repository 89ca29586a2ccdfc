"""Batch statistics that several processes share, and what one of them costs alone."""

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from lotus_unlearning.runtime import Processes
from lotus_unlearning.runtime.batch_statistics import share_batch_statistics


class Twins(Processes):
    """Two processes with equal shards, in one."""

    def total(self, value):
        return value.mul_(2)


def of_twins(norm, size):
    made = copy.deepcopy(norm)
    share_batch_statistics(made, Twins(count=2, whole=2 * size, part=size))
    return made


@pytest.mark.parametrize(
    ("mean", "dtype", "error"),
    [(0.0, torch.float32, 1e-5), (1000.0, torch.float32, 5e-3), (1000.0, torch.float64, 1e-8)],
)
@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False), BatchNormAct2d(3, act_layer=nn.GELU)],
    ids=["plain", "without weights", "timm's with activation"],
)
def test_shared_statistics_are_those_of_the_whole_batch(norm, mean, dtype, error):
    torch.manual_seed(0)
    plain = copy.deepcopy(norm).to(dtype).train()
    shared = of_twins(plain, size=4)
    inputs = (mean + 0.1 * torch.randn(4, 3, 4, 4)).to(dtype)
    weights = torch.randn(4, 3, 4, 4).to(dtype)
    found = []
    for layer, copies in ((plain, 2), (shared, 1)):
        x = inputs.clone().requires_grad_()
        y = layer(x.repeat(copies, 1, 1, 1))
        (y * weights.repeat(copies, 1, 1, 1)).sum().backward()
        gradient = x.grad / copies
        found.append((y[:4].detach(), gradient, layer.running_var, layer.running_mean))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=error, atol=error)


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
def test_shards_differ_by_one_image_at_most_and_weigh_as_much_as_they_hold(count, sizes):
    batch = torch.arange(7)
    members = [Processes(count=count, rank=rank) for rank in range(count)]
    shards = [member.shard(batch) for member in members]
    assert [len(shard) for shard in shards] == sizes
    assert sum(member.weight for member in members) == pytest.approx(count)
    if members[0].sharded:
        assert torch.equal(torch.cat(shards), batch)
        means = [m.weight * s.double().mean() for m, s in zip(members, shards, strict=True)]
        assert sum(means).item() / count == pytest.approx(3)


def test_values_of_the_first_process_and_waiting_cost_nothing_alone():
    alone = Processes()
    assert alone.from_first(lambda: 3) == 3
    assert alone.is_first_to_fail()
    with alone.first_goes_ahead():
        alone.wait()
