"""Models of which each process holds a part; all methods: methods/test_many_processes.py."""

import json

import pytest
import torch
from torch import nn

import in_shards
from lotus_unlearning import Finetune, evaluate, train, unlearn
from lotus_unlearning.runtime import Processes, shards
from lotus_unlearning.runtime.largest import largest
from lotus_unlearning.runtime.processes import LostProcessError
from lotus_unlearning.runtime.shards import sharded, units
from worlds import together

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("shards")
    assert together(2, in_shards.write, folder) == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_each_process_holds_half_of_weights_gradients_and_optimizer_state(both):
    bytes_of_all = sum(p.nbytes for p in in_shards.layers().parameters())
    for found in both:
        assert found["weighed"] == {
            "weights": bytes_of_all / 2,
            "gradients": bytes_of_all / 2,
            "state": 2 * bytes_of_all / 2,
        }


def test_copies_of_a_model_in_shards_are_whole_and_so_is_the_result(both):
    for found in both:
        assert found["copied"] == dict.fromkeys(found["copied"], True)


def test_views_that_are_changed_in_place_keep_their_gradients(both):
    made = unlearn(
        in_shards.views(), in_shards.splits(), Finetune(epochs=2), batch_size=8, **in_shards.PLACE
    )
    for name, value in made.model.state_dict().items():
        for found in both:
            other = torch.tensor(found["changed_in_place"][name], dtype=torch.float64)
            torch.testing.assert_close(other, value, rtol=0, atol=1e-12)


def test_a_layer_whose_weights_another_one_reads_is_refused(both):
    for found in both:
        assert found["refused"].startswith("shard: expected layers that read no weights but their")


def test_the_first_of_equal_values_are_chosen_from_shards_as_from_the_whole(both):
    for at, count in enumerate(in_shards.COUNTS):
        parts = [found["among_ties"][at] for found in both]
        found = [[*first, *second] for first, second in zip(*parts, strict=True)]
        assert found == [mask.tolist() for mask in largest(in_shards.TIES, count)]


def test_in_shards_a_run_goes_on_to_the_same_bits(both):
    for found in both:
        assert found["gone_on"] == dict.fromkeys(found["gone_on"], True)
        assert len(found["gone_on"]) == 4


def test_one_process_is_told_that_it_has_nobody_to_share_with():
    model, parts = in_shards.layers(), in_shards.splits()
    one = r"shard: expected several processes to share a model, got one; start them with torchrun"
    with pytest.raises(ValueError, match=one):
        unlearn(model, parts, Finetune(), shard=True, **in_shards.PLACE)
    with pytest.raises(ValueError, match=one):
        train(model, parts.retain, shard=True, **in_shards.PLACE)
    with pytest.raises(ValueError, match=one):
        evaluate(model, parts, device="cpu", shard=True)


class Scaled(nn.Linear):
    def __init__(self):
        super().__init__(3, 3)
        self.scale = nn.Parameter(torch.tensor(1.0))


def test_what_cannot_be_cut_is_refused_before_any_work():
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    for model, message in (
        (nn.Sequential(Scaled()), r"without parameters of a single number .*got 0.scale; leave"),
        (tied, "whose layers share no parameters, got 0.weight, 1.weight; leave shard out"),
    ):
        with pytest.raises(ValueError, match=message), sharded(model, CPU, Processes(count=2)):
            pytest.fail("it is not refused")


def test_what_is_gathered_at_once_is_called_and_neither_large_nor_small(monkeypatch):
    monkeypatch.setattr(shards, "SMALLEST", 100)
    blocks = nn.ModuleList(nn.Sequential(nn.Linear(10, 10), nn.LayerNorm(10)) for _ in range(9))
    attention, head = nn.MultiheadAttention(40, 4), nn.Linear(10, 2)
    model = nn.Sequential(blocks, attention, head)
    # a list is not called, the attention does not call the layer within, the head is small
    assert units(model) == [*blocks, attention]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("DataLoader timed out after 5 seconds", RuntimeError),
        ("connection reset by the storage", RuntimeError),
        ("[gloo/transport/tcp/pair.cc:534] Connection closed by peer", LostProcessError),
        ("FSDP requires running forward through the root module first", ValueError),
    ],
)
def test_errors_are_called_what_they_are(monkeypatch, message, kind):
    monkeypatch.setattr(shards, "_twin", lambda model, device, count: model)
    model = torch.nn.Linear(2, 2)

    def work():
        with shards.sharded(model, torch.device("cpu"), Processes(count=2)):
            raise RuntimeError(message)

    with pytest.raises(kind) as found:
        work()
    assert found.type is kind
