import copy
import gc
import weakref

import hypothesis
import pytest
import torch
import toy
from hypothesis import strategies as st

from lotus_unlearning.methods.finetune import Finetune
from lotus_unlearning.methods.lotus import LoTUS
from lotus_unlearning.methods.presets import PRESETS
from lotus_unlearning.methods.random_labels import RandomLabels
from lotus_unlearning.methods.retrain import Retrain
from lotus_unlearning.methods.salun import SalUn
from lotus_unlearning.methods.settings import changed
from lotus_unlearning.methods.ssd import SSD
from lotus_unlearning.methods.understudy import Understudy
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.runtime.largest import largest
from lotus_unlearning.splits import Splits
from reference.lotus import lotus
from reference.random_labels import random_labels
from reference.salun import saliency_mask, salun

SETTINGS = {"learning_rate": 0.013, "momentum": 0.9, "weight_decay": 5e-4}
EPOCHS, BATCH = 4, 8


def steps(parts):
    g = torch.Generator().manual_seed(toy.SEED)
    forget, (retain, labels) = toy.tensors(parts.forget)[0], toy.tensors(parts.retain)
    plan = []
    for _ in range(EPOCHS):
        drawn = torch.randint(toy.CLASSES, (len(forget),), generator=g)
        for images, given in ((forget, drawn), (retain, labels)):
            plan += [(images[b], given[b]) for b in toy.orders(g, len(given), BATCH)]
    return plan


def twin_masks(model, parts, share):
    images, labels = toy.tensors(parts.forget)
    batches = list(zip(images.split(BATCH), labels.split(BATCH), strict=True))
    return saliency_mask(copy.deepcopy(model), batches, share)


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_equals_its_literal_twin(make, share):
    model, parts = make().eval(), toy.splits()
    result = toy.run(model, parts, SalUn(share=share, epochs=EPOCHS, batch_size=BATCH))
    plan = steps(parts)
    assert len(plan) >= 20
    twin = salun(copy.deepcopy(model), twin_masks(model, parts, share), plan, **SETTINGS)
    assert toy.difference(result.model, twin) < 1e-10
    assert toy.change(result.model, model) > 1e-3


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_with_lotus_under_the_mask_it_equals_the_masked_twin_of_lotus(make, share):
    model, parts, settings = toy.trained(make), toy.splits(), {"alpha": 3, "learning_rate": 3e-3}
    # a decay that would show, were weights outside the mask put back only in the end
    inner = LoTUS(epochs=8, tolerance=9, weight_decay=0.5, **settings)
    result = toy.run(model, parts, SalUn(inner=inner, share=share, batch_size=BATCH))
    twin, masks = copy.deepcopy(model), twin_masks(model, parts, share)
    g = torch.Generator().manual_seed(toy.SEED)
    retain = parts.retain.sample(0.3, g)
    three = [toy.tensors(part) for part in (parts.forget, retain, parts.unseen)]
    taus = lotus(twin, *three, g, BATCH, epochs=8, tolerance=9, decay=0.5, masks=masks, **settings)
    assert 8 * len(toy.orders(g, len(parts.forget) + len(retain), BATCH)) >= 20
    assert toy.difference(result.model, twin) < 1e-9
    assert [row["tau"] for row in result.history] == pytest.approx(taus, abs=1e-12)
    assert toy.change(result.model, model) > 1e-3
    assert toy.change(result.model, toy.run(model, parts, inner).model) > 1e-3


@pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
def test_with_a_full_mask_it_is_random_labels(make):
    model, parts = make(), toy.splits()
    full = toy.run(model, parts, SalUn(share=1.0, epochs=EPOCHS, batch_size=BATCH)).model
    twin = random_labels(copy.deepcopy(model), steps(parts), optimizer="sgd", **SETTINGS)
    assert toy.difference(full, twin) < 1e-10


@pytest.mark.parametrize("inner", [LoTUS(epochs=3), RandomLabels(batch_size=8), Finetune(epochs=2)])
def test_with_a_full_mask_it_is_its_inner_method_bit_for_bit(inner):
    model, parts = toy.trained(), toy.splits()
    full = toy.run(model, parts, SalUn(inner=inner, share=1.0)).model
    assert toy.difference(full, toy.run(model, parts, inner).model) == 0


@pytest.mark.parametrize(
    "inner",
    [
        None,
        LoTUS(target_accuracy=0.0, published_class_mode=True),
        RandomLabels(),
        Finetune(weight_decay=0.1),
    ],
)
@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_weights_outside_the_mask_never_change_and_those_inside_do(inner, kind):
    model, parts = toy.trained(), toy.splits(kind)
    method = SalUn(inner=inner, share=0.3, batch_size=BATCH)
    result = toy.run(model, parts, method).model
    total = changed = 0
    masks = twin_masks(model, parts, 0.3)
    pairs = zip(result.parameters(), model.parameters(), masks, strict=True)
    for after, before, mask in pairs:
        outside = mask == 0
        assert torch.equal(after[outside], before[outside])
        changed += (after[~outside] != before[~outside]).sum().item()
        total += (~outside).sum().item()
    assert changed > 0.95 * total


def test_weights_outside_the_mask_are_put_back_after_a_method_without_steps():
    model, parts = toy.trained(), toy.splits("class")
    inner = SSD(alpha=1.2, dampening=0.5)
    masked = SalUn(inner=inner, share=0.3, batch_size=BATCH)
    free, held = (toy.run(model, parts, method).model for method in (inner, masked))
    changed = 0
    masks = twin_masks(model, parts, 0.3)
    for after, without, before, mask in zip(
        held.parameters(), free.parameters(), model.parameters(), masks, strict=True
    ):
        assert torch.equal(after, torch.where(mask == 1, without, before))
        changed += int((without != before)[mask == 0].sum())
    assert changed > 0  # had it not been put back


def test_a_share_of_less_than_one_weight_is_one_weight():
    model, parts = toy.trained(), toy.splits()
    result = toy.run(model, parts, SalUn(share=1e-6, epochs=2, batch_size=BATCH)).model
    pairs = zip(result.parameters(), model.parameters(), strict=True)
    assert sum(int((after != before).sum()) for after, before in pairs) == 1


@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_forgets_more_than_it_damages(kind):
    parts, model = toy.splits(kind), toy.trained()
    result = toy.run(model, parts, SalUn(epochs=15, batch_size=8)).model
    risen = toy.loss(result, parts.forget) - toy.loss(model, parts.forget)
    damage = toy.loss(result, parts.retain) - toy.loss(model, parts.retain)
    assert risen > 0.3
    assert risen > 2 * damage


def test_masks_are_gone_when_it_is_done():
    run, model = Runtime(precision=torch.float64), toy.conv_model()
    seen = []

    class Watch:
        reads = frozenset({"retain"})

        def __call__(self, model, data, run):
            seen.extend(weakref.ref(mask) for mask, _ in run._held.starts.values())

    SalUn(inner=Watch())(model, toy.splits(), run)
    gc.collect()
    assert len(seen) == len(list(model.parameters()))
    assert not any(reference() is not None for reference in seen)
    assert all(p.grad is None for p in model.parameters())


@st.composite
def values_and_count(draw):
    """Tensors with many equal values, of one type, and how many are wanted."""
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    numbers = st.sampled_from([0.0, 1e-320, 1e-30, 0.5, 0.5 + 2**-20, 3.0, 1e30, float("inf")])
    lists = draw(st.lists(st.lists(numbers, min_size=1, max_size=12), min_size=1, max_size=4))
    tensors = [torch.tensor(values, dtype=dtype) for values in lists]
    return tensors, draw(st.integers(1, sum(len(values) for values in lists)))


@hypothesis.given(values_and_count())
def test_the_largest_values_are_those_that_a_stable_sort_puts_first(drawn):
    values, count = drawn
    together = torch.cat(values)
    expected = torch.zeros(len(together), dtype=torch.bool)
    expected[together.argsort(descending=True, stable=True)[:count]] = True
    assert torch.equal(torch.cat(largest(values, count)), expected)


def test_the_largest_values_keep_to_the_layout_of_their_tensors():
    values = torch.arange(5.0).repeat(24).view(2, 3, 4, 5)
    picture = values.to(memory_format=torch.channels_last)
    for count in (1, 25, 100):
        assert torch.equal(largest([picture], count)[0], largest([values], count)[0])


def test_a_parameter_that_the_model_does_not_use_is_the_least_salient():
    model = toy.norm_model().eval()
    model.register_parameter("spare", torch.nn.Parameter(torch.ones(3, dtype=torch.float64)))
    used = sum(p.numel() for name, p in model.named_parameters() if name != "spare")
    method = SalUn(share=0.5 * used / (used + 3))
    masks = method._masks(model, toy.splits(), Runtime(precision=torch.float64))
    assert not masks[model.spare].any()


def test_it_reads_what_its_inner_method_reads():
    assert SalUn().reads == {"forget", "retain"}
    assert SalUn(inner=Finetune()).reads == {"forget", "retain"}
    assert SalUn(inner=LoTUS()).reads == {"forget", "retain", "unseen"}
    without = Splits.from_ids(toy.data(), forget=[0, 1])
    with pytest.raises(ValueError, match="no unseen"):
        toy.run(toy.conv_model(), without, SalUn(inner=LoTUS()))


def test_refuses_bad_hyper_parameters_all_in_one_message():
    with pytest.raises(ValueError, match="0 < share <= 1, epochs >= 1"):
        SalUn(share=0.0, epochs=0)
    with pytest.raises(ValueError, match="inner other than SalUn"):
        SalUn(inner=SalUn())


def test_settings_that_only_random_labels_read_are_refused_beside_another_method():
    with pytest.raises(ValueError, match=r"expected no epochs, weight_decay beside inner, whose"):
        SalUn(inner=LoTUS(), epochs=3, weight_decay=0.0)
    assert SalUn(inner=LoTUS(), epochs=10, share=0.2, batch_size=8).share == 0.2


def test_a_mask_put_around_another_method_keeps_what_the_mask_reads():
    known = PRESETS["lotus-tables-resnet18"]["salun"]
    assert known.around(Finetune()) == SalUn(inner=Finetune(), share=0.1, batch_size=128)
    assert changed(known, "salun", {"inner": "finetune"}) == known.around(Finetune())
    with pytest.raises(ValueError, match="expected no epochs beside inner"):
        changed(known, "salun", {"inner": "finetune", "epochs": 3})


@pytest.mark.parametrize("inner", [Understudy(), Retrain()])
def test_what_trains_a_network_anew_is_not_run_under_the_mask(inner):
    with pytest.raises(ValueError, match="inner that trains no network anew"):
        SalUn(inner=inner)
