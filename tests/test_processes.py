"""Batch statistics that several processes share, in a group of one."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn

from lotus_unlearning.runtime import Processes


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def synchronized(norm):
    """A copy whose statistics go through the collective operations."""
    made = copy.deepcopy(norm)
    alone = Processes(count=1, sharded=True)
    alone.count = 2  # so that it is set up at all
    alone.synchronize_batch_norm(made)
    alone.count = 1
    return made


@pytest.mark.parametrize(
    ("mean", "dtype", "error"),
    [(0.0, torch.float32, 1e-5), (1000.0, torch.float32, 5e-3), (1000.0, torch.float64, 1e-8)],
)
@pytest.mark.parametrize("affine", [True, False])
def test_shared_statistics_are_those_of_the_layer_alone(group, mean, dtype, error, affine):
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3, affine=affine).to(dtype).train()
    shared = synchronized(plain)
    inputs = (mean + 0.1 * torch.randn(8, 3, 4, 4)).to(dtype)
    weights = torch.randn(8, 3, 4, 4).to(dtype)
    found = []
    for norm in (plain, shared):
        x = inputs.clone().requires_grad_()
        y = norm(x)
        (y * weights).sum().backward()
        found.append((y.detach(), x.grad, norm.running_var, norm.running_mean))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=error, atol=error)


def test_values_of_the_first_process_and_waiting_cost_nothing_alone():
    alone = Processes()
    assert alone.from_first(lambda: 3) == 3
    assert alone.is_first_to_fail()
    with alone.first_goes_ahead():
        alone.wait()
