import copy
import math

import pytest
import torch
import torch.nn.functional as F
from toy_b import (
    MODELS,
    SEED,
    batch_norm_model,
    batches,
    class_splits,
    distance,
    loss,
    pixels,
    random_splits,
    right,
    trained,
    unlearned,
)

from lotus_unlearning.methods.ssd import SSD
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Splits
from reference.ssd import ssd


def shuffled(splits, batch_size):
    """Batches of forget and of retain, in the order that the seed gives them once."""
    g, found = torch.Generator().manual_seed(SEED), []
    for split in (splits.forget, splits.retain):
        images = pixels(split)
        order = batches(g, len(split), batch_size)
        found.append([(images[chunk], split.labels[chunk]) for chunk in order])
    return found


def untrained_enough(make):
    """Half trained, so that gradients are not tiny."""
    return trained(make, steps=6)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("dampening", [1.0, 0.3, 3.0])  # the last would enlarge without its bound
def test_equals_the_literal_twin(make, dampening):
    model, splits = untrained_enough(make), class_splits(size=80)
    forget, retain = shuffled(splits, 8)
    result = unlearned(model, splits, SSD(alpha=1.2, dampening=dampening, repeats=3), batch_size=8)
    dampened = [
        ssd(model, forget, forget + retain, alpha=1.2, dampening=dampening) for _ in range(3)
    ]
    assert 3 * len(forget + retain) >= 20
    assert min(dampened) > 0
    assert [row["dampened_parameters"] for row in result.history] == dampened
    assert distance(result.model, model) < 1e-10


def test_dampens_exactly_the_parameters_whose_importance_says_so():
    model, splits = untrained_enough(batch_norm_model), class_splits()
    alpha, dampening = 1.5, 0.5
    result = unlearned(model, splits, SSD(alpha=alpha, dampening=dampening), batch_size=10)

    def mean_square(name, given):
        squares = []
        for x, y in given:
            copied = copy.deepcopy(model).eval()
            F.cross_entropy(copied(x), y).backward()
            squares.append(copied.get_parameter(name).grad.square())
        return sum(squares) / len(squares)

    forget, retain = shuffled(splits, 10)
    total = 0
    for name, before in model.named_parameters():
        ratio = mean_square(name, forget) / mean_square(name, forget + retain)
        factor = torch.where(ratio > alpha, (dampening / ratio).clamp(max=1), 1.0)
        after = result.model.get_parameter(name)
        torch.testing.assert_close(after, before * factor, rtol=1e-9, atol=1e-12)
        assert torch.equal(after[ratio <= alpha], before[ratio <= alpha])
        total += int((ratio > alpha).sum())
    size = sum(p.numel() for p in model.parameters())
    assert 0 < total < size
    assert result.history[0]["dampened_parameters"] == total
    assert result.history[0]["dampened_share"] == total / size


def test_infinite_alpha_changes_nothing_and_says_so():
    model = trained()
    with pytest.warns(UserWarning, match="alpha=inf changes nothing here"):
        result = unlearned(model, class_splits(), SSD(alpha=math.inf))
    assert distance(result.model, model) == 0
    assert result.history[0]["dampened_share"] == 0


@pytest.mark.parametrize(("fraction", "highest"), [(0.25, "4"), (0.5, "2")])
def test_the_published_alpha_warns_where_it_can_change_nothing(fraction, highest):
    model, splits = untrained_enough(batch_norm_model), random_splits(fraction)
    with pytest.warns(UserWarning, match=f"more than {highest} times as important"):
        result = unlearned(model, splits, SSD(), batch_size=10)
    assert distance(result.model, model) == 0


def test_the_order_in_which_forget_images_are_named_does_not_matter():
    model, splits = untrained_enough(batch_norm_model), random_splits()
    backwards = Splits(splits.forget.take(torch.arange(79, -1, -1)), splits.retain)
    method = SSD(alpha=1.2)
    results = [unlearned(model, s, method).model for s in (splits, backwards)]
    assert distance(*results) == 0
    assert distance(results[0], model) > 0


def test_batches_of_a_source_sorted_by_class_mix_classes(monkeypatch):
    splits, seen, batches_of_run = class_splits(), [], Runtime.batches
    order = torch.argsort(splits.retain.labels, stable=True)

    def watched(self, *arguments, **options):
        for x, y, i in batches_of_run(self, *arguments, **options):
            seen.append(len(y.unique()))
            yield x, y, i

    monkeypatch.setattr(Runtime, "batches", watched)
    by_class = Splits(splits.forget, splits.retain.take(order))
    unlearned(untrained_enough(batch_norm_model), by_class, SSD(alpha=1.2), batch_size=16)
    assert seen == [1] * 5 + [3] * 15  # all retained classes in each batch of retain


def test_its_own_batch_size_overrides_the_runs():
    model, splits = untrained_enough(batch_norm_model), class_splits()
    own = unlearned(model, splits, SSD(alpha=1.2, batch_size=5), batch_size=8).model
    assert distance(own, unlearned(model, splits, SSD(alpha=1.2), batch_size=5).model) == 0
    assert distance(own, unlearned(model, splits, SSD(alpha=1.2), batch_size=8).model) > 0


def test_buffers_stay_as_they_are():
    model = untrained_enough(batch_norm_model)
    result = unlearned(model, class_splits(), SSD(alpha=1.2)).model
    for name, buffer in model.named_buffers():
        assert torch.equal(result.get_buffer(name), buffer)
    assert distance(result, model) > 0


def test_forgetting_a_class_hurts_it_more_than_the_others():
    model, splits = trained(), class_splits()
    result = unlearned(model, splits, SSD(alpha=1.5, dampening=0.5)).model
    rise = loss(result, splits.forget) - loss(model, splits.forget)
    damage = loss(result, splits.retain) - loss(model, splits.retain)
    assert rise > 2 * abs(damage)
    assert right(result, splits.forget) < 0.5
    assert right(result, splits.retain) > 0.9


def test_half_of_the_images_can_be_forgotten():
    model, splits = untrained_enough(batch_norm_model), random_splits(0.5)
    result = unlearned(model, splits, SSD(alpha=1.1, dampening=0.5))
    assert result.history[0]["dampened_parameters"] > 0
    assert distance(result.model, model) > 0


def test_bad_settings_are_refused_in_one_message():
    with pytest.raises(ValueError, match="alpha > 0, dampening >= 0, repeats >= 1"):
        SSD(alpha=0, dampening=-1, repeats=0)
