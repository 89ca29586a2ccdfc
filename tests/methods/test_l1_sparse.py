import copy

import pytest
import torch
import toy

from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.l1_sparse import L1Sparse
from reference.l1_sparse import l1_sparse


def l1_norm(model):
    return sum(p.abs().sum().item() for p in model.parameters())


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
def test_equals_its_literal_twin(make):
    model, parts = make(), toy.splits()
    result = toy.run(model, parts, L1Sparse(epochs=5, penalty=0.01, batch_size=8))
    g = torch.Generator().manual_seed(toy.SEED)
    epochs = [toy.orders(g, len(parts.retain), 8) for _ in range(5)]
    assert sum(len(batches) for batches in epochs) >= 20
    twin = l1_sparse(
        copy.deepcopy(model),
        *toy.tensors(parts.retain),
        epochs,
        penalty=0.01,
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
    )
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


def test_without_a_penalty_it_is_finetune_bit_for_bit():
    model, parts = toy.conv_model(), toy.splits()
    sparse = toy.run(model, parts, L1Sparse(epochs=4, penalty=0.0, batch_size=8)).model
    plain = toy.run(model, parts, Finetune(epochs=4, weight_decay=5e-4, batch_size=8)).model
    assert toy.difference(sparse, plain) == 0


def test_penalty_decays_linearly_and_would_reach_zero_after_the_last_epoch():
    history = toy.run(toy.conv_model(), toy.splits(), L1Sparse(epochs=4, penalty=0.4)).history
    assert [row["penalty"] for row in history] == pytest.approx([0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_weights_end_sparser_than_after_finetune(kind):
    parts, model = toy.splits(kind), toy.trained()
    sparse = toy.run(model, parts, L1Sparse(penalty=0.05, batch_size=8))
    plain = toy.run(model, parts, L1Sparse(penalty=0.0, batch_size=8))
    assert l1_norm(sparse.model) < 0.8 * l1_norm(plain.model)
    assert sparse.history[-1]["l1_norm"] == pytest.approx(l1_norm(sparse.model))


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match="epochs >= 1, penalty >= 0, learning_rate > 0"):
        L1Sparse(epochs=0, penalty=-1.0, learning_rate=0.0)
