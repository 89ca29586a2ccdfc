import copy

import pytest
import torch
import toy

from lotus_unlearning.methods.finetune import Finetune
from reference.finetune import finetune


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_equals_its_literal_twin(make, decay):
    model, parts = make(), toy.splits()
    result = toy.run(model, parts, Finetune(epochs=5, weight_decay=decay))
    g = torch.Generator().manual_seed(toy.SEED)
    batches = [b for _ in range(5) for b in toy.orders(g, len(parts.retain), 8)]
    assert len(batches) >= 20
    twin = finetune(
        copy.deepcopy(model),
        *toy.tensors(parts.retain),
        batches,
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=decay,
    )
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_learns_retain_images_and_promises_nothing_about_forget_images(kind):
    parts, model = toy.splits(kind), toy.trained(steps=5)
    result = toy.run(model, parts, Finetune(epochs=10)).model
    assert toy.loss(result, parts.retain) < 0.7 * toy.loss(model, parts.retain)


def test_its_own_batch_size_overrides_the_runs():
    parts, model = toy.splits(), toy.conv_model()
    own = toy.run(model, parts, Finetune(epochs=2, batch_size=5), batch_size=8).model
    runs = toy.run(model, parts, Finetune(epochs=2), batch_size=5).model
    assert toy.difference(own, runs) == 0


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match="epochs >= 1, learning_rate > 0, batch_size >= 1"):
        Finetune(epochs=0, learning_rate=0.0, batch_size=0)
