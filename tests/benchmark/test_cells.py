import dataclasses
import json
from hashlib import blake2b

import pytest

from lotus_unlearning import SCRUB, UNSIR, LoTUS, Recipe, SalUn
from lotus_unlearning.benchmark.canonical import canonical
from lotus_unlearning.benchmark.cells import (
    DataChoice,
    Forget,
    Gold,
    Original,
    Reference,
    Setup,
    Unlearning,
    title,
)
from lotus_unlearning.methods.bad_teacher import BadTeacher
from lotus_unlearning.methods.unsir import ByInstance

SETUP = Setup(data=DataChoice(name="digits"), model="resnet-thin")


def cell(**changes):
    forget = Forget()
    parts = {
        "original": Original(setup=SETUP),
        "forget": forget,
        "golds": (Gold(setup=SETUP, forget=forget, seed=1000),),
        "method": LoTUS(),
        "seed": 0,
    }
    return Unlearning(**{**parts, **changes})


@pytest.mark.parametrize(
    "other",
    [
        cell(seed=1),
        cell(method=LoTUS(alpha=3.0)),
        cell(method=SCRUB()),
        cell(forget=Forget(seed=1)),
        cell(forget=Forget(fraction=0.2)),
        cell(original=Original(setup=SETUP, seed=1)),
        cell(original=Original(setup=dataclasses.replace(SETUP, precision="float32"))),
        cell(original=Original(setup=dataclasses.replace(SETUP, recipe=Recipe(epochs=3)))),
        cell(original=Original(setup=dataclasses.replace(SETUP, recipe=None))),
        cell(golds=()),
    ],
)
def test_everything_that_determines_a_result_is_in_its_name(other):
    assert other.key != cell().key


FASHION = Setup(
    data=DataChoice(name="fashion-mnist", limit=5000),
    model="resnet10t",
    recipe=Recipe(epochs=12, optimizer="adamw", learning_rate=1e-3),
    precision="bfloat16",
)


def draw(setup, seed, fraction=0.1, golds=4):
    forget = Forget(fraction=fraction, seed=seed)
    made = tuple(Gold(setup=setup, forget=forget, seed=1000 + i) for i in range(golds))
    return {"original": Original(setup=setup, seed=seed), "forget": forget, "golds": made}


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (Original(setup=SETUP), "original-ebb0ae5f489071b9749e"),
        (Original(setup=FASHION, seed=2), "original-5e7be5223e8230760de7"),
        (draw(SETUP, 0)["golds"][3], "gold-de49c6334049b4d6b4e5"),
        (draw(SETUP, 2, 0.5)["golds"][1], "gold-578903a3f6aa8be9edf0"),
        (draw(FASHION, 2)["golds"][3], "gold-00a92866c803f704fa85"),
        (Reference(**draw(SETUP, 3)), "reference-16408ca1c4d7d025efc8"),
        (Reference(**draw(SETUP, 1, 0.5)), "reference-16653f28238c40c532ba"),
        (
            Unlearning(**draw(SETUP, 2), method=LoTUS(temperature=1.0, batch_size=128), seed=2),
            "unlearning-097f033f6ab48d2b64e2",
        ),
        (
            Unlearning(**draw(SETUP, 2, 0.5), method=SCRUB(), seed=2),
            "unlearning-1ba3d67b0f05a62099a7",
        ),
        (Unlearning(**draw(FASHION, 1), method=SalUn(), seed=1), "unlearning-162c2bb029c7c48a42df"),
    ],
)
def test_the_names_of_committed_cells_never_change(made, name):
    # who changes these names makes every committed result unreadable
    assert made.key == name


def test_cells_that_forget_a_drawn_class_are_not_those_of_classes_drawn_with_replacement():
    forget = Forget(kind="class")
    made = Gold(setup=SETUP, forget=forget, seed=1000)
    old = json.dumps([1, canonical(made)], sort_keys=True)
    assert made.key != f"gold-{blake2b(old.encode(), digest_size=10).hexdigest()}"
    named = Gold(setup=SETUP, forget=Forget(kind="class", label="8"), seed=1000)
    same = json.dumps([1, canonical(named)], sort_keys=True)
    assert named.key == f"gold-{blake2b(same.encode(), digest_size=10).hexdigest()}"


def test_equal_settings_have_one_name_however_they_are_written():
    assert cell(method=LoTUS(alpha=8)).key == cell(method=LoTUS(alpha=8.0)).key
    assert cell(method=LoTUS(alpha=2.0)).key == cell().key


def test_a_method_with_settings_of_its_own_kind_is_written_down_to_the_last():
    inner = canonical(SalUn(inner=LoTUS(alpha=8)))
    assert inner == {"is": "SalUn", "inner": {"is": "LoTUS", "alpha": 8.0}}
    nested = canonical(UNSIR(by_instance=ByInstance(epochs=3)))
    assert nested == {"is": "UNSIR", "by_instance": {"is": "ByInstance", "epochs": 3}}


def test_a_method_that_holds_a_model_cannot_be_named():
    import torch

    with pytest.raises(TypeError, match="expected settings that can be written down, got Linear"):
        canonical(BadTeacher(bad_teacher=torch.nn.Linear(2, 2)))


def test_hard_images_need_the_model_that_ranks_them_and_others_do_not():
    original = Original(setup=SETUP)
    memorised = Forget(kind="memorised", ranked_by=original)
    assert [need.half for need in memorised.needs] == [None, 0, 1]
    assert Forget(kind="near-duplicates", ranked_by=original).needs == (original,)
    assert Forget().needs == ()
    with pytest.raises(ValueError, match="expected ranked_by for memorised, near-duplicates"):
        Forget(kind="memorised")
    with pytest.raises(ValueError, match="ranked_by"):
        Forget(ranked_by=original)


def test_a_cell_needs_its_original_its_golds_and_what_chose_the_images():
    original = Original(setup=SETUP)
    forget = Forget(kind="memorised", ranked_by=original)
    gold = Gold(setup=SETUP, forget=forget, seed=1000)
    reference = Reference(original=original, forget=forget, golds=(gold,))
    assert set(reference.needs) == {original, gold, *forget.needs}
    assert set(gold.needs) == set(forget.needs)


def test_a_title_says_what_a_cell_is():
    assert title(cell()) == "LoTUS forgets random 10% (seed 0), original 0, digits, resnet-thin"
