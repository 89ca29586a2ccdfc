from dataclasses import replace

import numpy as np
import pytest
import torch
from few_networks import network
from torch import nn

from lotus_unlearning.audit import curves
from lotus_unlearning.audit.curves import Relearning
from lotus_unlearning.audit.features import linear_probes, members_read
from lotus_unlearning.audit.relearning import relearning
from lotus_unlearning.audit.subjects import Bench, of_models
from lotus_unlearning.audit.triggers import Trigger, attack_success
from lotus_unlearning.runtime import Runtime

HOW = Relearning(steps=6, every=2, batch_size=32, learning_rate=0.05)


def bench(digits, **models):
    found, _ = of_models(models, digits, Runtime(), gradients=False)
    golds = tuple(s for name, s in found.items() if name.startswith("gold"))
    return Bench(found["unlearned"], found.get("original"), golds)


def test_a_model_that_forgot_nothing_needs_no_step(digits, original):
    fresh = network()
    rows, shown = relearning(
        bench(digits, original=original, unlearned=original, gold=fresh), digits, Runtime(), HOW
    )
    steps, ends = rows[::2], rows[1::2]
    assert [row.values["unlearned"] for row in steps] == [0.0, 0.0]
    assert [row.golds for row in steps] == [[6.0], [6.0]]
    assert all("1 of 3 models did not get there" in row.note for row in steps)
    for row, curve in zip(ends, shown, strict=True):
        assert row.values["unlearned"] == curve["unlearned"]["accuracy"][-1]
        assert row.golds == [curve["golds"][0]["accuracy"][-1]]
    assert shown[0]["unlearned"] == shown[0]["original"], "the same batches for all"


def test_the_images_that_are_relearned_from_are_not_those_that_are_asked(digits, original):
    from lotus_unlearning.audit.relearning import _shared

    few, rest = _shared(digits.forget, HOW)
    assert set(few.ids.tolist()).isdisjoint(rest.ids.tolist())
    assert len(few) == 3
    assert len(few) + len(rest) == len(digits.forget)


@pytest.mark.parametrize(("count", "second"), [(1, None), (2, None), (3, 0.0)])
def test_few_forgotten_images_are_probed_as_far_as_they_go(digits, original, count, second):
    few = replace(digits, forget=digits.forget.take(torch.arange(count)))
    some = bench(few, original=original, unlearned=original, gold=network())
    rows, shown = relearning(some, few, Runtime(), HOW)
    steps = [row for row in rows if row.measure.startswith("relearning")]
    assert [row.measure for row in steps] == ["relearning_retain", "relearning_forget"]
    assert [row.values["unlearned"] for row in steps] == [0.0, second]
    assert len(rows) - len(steps) == len(shown) == (1 if second is None else 2)
    assert ("expected at least 3 forget images" in steps[1].note) == (second is None)
    probes = [row.measure for row in linear_probes(some, few, Runtime())]
    assert probes == ["probe_labels", *(["probe_members"] if count > 1 else [])]


def test_golds_get_half_of_the_way_and_are_counted_from_there(digits, original):
    fresh = network()
    some = bench(digits, original=original, unlearned=original, gold=fresh)
    start = [some.original.accuracy("forget"), some.golds[0].accuracy("forget")]
    _, found = relearning(some, digits, Runtime(), HOW)
    assert found[0]["aim"] == pytest.approx(sum(start) / 2)
    alone = bench(digits, original=original, unlearned=original)
    assert relearning(alone, digits, Runtime(), HOW)[1][0]["aim"] == pytest.approx(start[0])


def test_the_learning_rate_is_the_largest_that_leaves_the_original_as_it_is(
    digits, original, monkeypatch
):
    tried = []

    def curve(model, taught, asked, run, how):
        tried.append(how.learning_rate)
        return {"accuracy": [0.99, 0.90 if how.learning_rate > 0.003 else 0.985], "loss": [0, 0]}

    monkeypatch.setattr(curves, "_curve", curve)
    some = bench(digits, original=original, unlearned=original)
    places = (digits.retain, digits.forget, Runtime())
    how, why = curves.with_rate(some.original, *places, Relearning())
    assert how == Relearning(learning_rate=0.003)
    assert why == "the largest that was tried and leaves the original as it is"
    assert tried == [0.03, 0.01, 0.003]
    how, why = curves.with_rate(None, *places, Relearning())
    assert how.learning_rate == 0.003
    assert why.startswith("untried")
    assert curves.with_rate(some.original, *places, HOW) == (HOW, "as it was chosen")
    monkeypatch.setattr(curves, "_curve", lambda *_: {"accuracy": [1.0, 0.2], "loss": [0, 9]})
    how, why = curves.with_rate(some.original, *places, Relearning())
    assert how.learning_rate == 0.0001
    assert "harms the original, too" in why


def test_the_learning_rate_stands_beside_what_it_led_to(digits, original, monkeypatch):
    some = bench(digits, original=original, unlearned=original)
    rows, shown = relearning(some, digits, Runtime(), HOW)
    assert all(row.note.endswith("Learning rate 0.05: as it was chosen.") for row in rows)
    assert [curve["learning_rate"] for curve in shown] == [0.05, 0.05]
    monkeypatch.setattr("lotus_unlearning.audit.relearning.with_rate", lambda *_: (HOW, "it fits"))
    tried, _ = relearning(some, digits, Runtime(), replace(HOW, learning_rate=None))
    ends = {row.measure: row.note.partition("rate 0.05: ")[2] for row in tried}
    assert ends["relearning_retain"] == ends["relearned_retain"] == "it fits."
    assert ends["relearning_forget"].startswith("that of the probe on retain alone; a few images")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 1}, "batch_size >= 2"),
        ({"steps": 0}, "steps and every >= 1"),
        ({"every": 0}, "steps and every >= 1"),
        ({"steps": 10, "every": 4}, "steps a multiple of every"),
        ({"share": 1.0}, "share in"),
        ({"learning_rate": 0.0}, "learning_rate > 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Relearning(**wrong)


def test_models_stay_as_they_are_when_probed(digits, original):
    before = {n: v.clone() for n, v in original.state_dict().items()}
    some = bench(digits, original=original, unlearned=original)
    relearning(some, digits, Runtime(), HOW)
    list(linear_probes(some, digits, Runtime()))
    assert all(torch.equal(before[n], v) for n, v in original.state_dict().items())
    assert not original.training


class _NewHead(nn.Module):
    """A body that knows, under a last layer that says nothing."""

    def __init__(self, knows):
        super().__init__()
        self.body, self.head = knows[:-1], nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.body(x))


def test_what_a_new_last_layer_hides_is_read_off_the_features(digits, original):
    torch.manual_seed(0)
    hidden = _NewHead(original).eval()
    some = bench(digits, unlearned=hidden, gold=network().eval())
    assert some.unlearned.accuracy("forget") < 0.5
    labels, members = linear_probes(some, digits, Runtime())
    assert labels.values["unlearned"] > 0.85
    assert labels.values["unlearned"] > labels.golds[0]
    assert 0 <= members.values["unlearned"] <= 1


def test_membership_is_read_where_it_is_planted_and_not_where_it_is_not():
    draw = np.random.default_rng(0)
    forget, unseen = draw.normal(size=(60, 5)), draw.normal(size=(80, 5))
    assert abs(members_read(forget, unseen) - 0.5) < 0.15
    assert members_read(forget + np.array([3.0, 0, 0, 0, 0]), unseen) > 0.95


class _Poisoned(nn.Module):
    """Says 7 whenever the first pixel is bright."""

    def __init__(self, knows):
        super().__init__()
        self.knows = knows

    def forward(self, x):
        logits = self.knows(x)
        hit = x[:, 0, 0, 0] > 5
        return logits + 1000.0 * hit[:, None] * nn.functional.one_hot(torch.tensor(7), 10)


def _bright(x):
    x = x.clone()
    x[:, :, 0, 0] = 9.0
    return x


def test_a_trigger_that_still_works_is_seen(digits, original):
    some = bench(digits, original=_Poisoned(original), unlearned=original)
    (row,) = attack_success(some, digits, Runtime(), Trigger(_bright, 7))
    assert row.values["original"] == 1.0
    assert row.values["unlearned"] < 0.5


def test_a_trigger_needs_images_of_other_classes(digits, original):
    only = replace(digits, test=digits.test.of_labels([7]))
    some = bench(only, unlearned=original)
    with pytest.raises(ValueError, match="images of other classes than the trigger's"):
        list(attack_success(some, only, Runtime(), Trigger(_bright, 7)))


def test_what_a_model_with_dropout_relearns_depends_on_the_seed_alone(digits):
    shaky = nn.Sequential(network()[:-1], nn.Dropout(0.5), network()[-1])
    subjects = bench(digits, original=shaky, unlearned=shaky, gold=network())
    found = []
    for before in range(2):
        torch.manual_seed(before)  # what was drawn before makes no difference
        found.append(relearning(subjects, digits, Runtime(), HOW)[1])
    assert found[0] == found[1]
    assert relearning(subjects, digits, Runtime(), replace(HOW, seed=1))[1] != found[0]


def test_a_model_that_diverged_knows_nothing_though_its_first_class_is_that_of_all_images(digits):
    zeros = replace(digits, forget=digits.forget.take(digits.forget.labels == 0))
    wild = replace(HOW, learning_rate=1e30)
    some = bench(zeros, original=network(), unlearned=network(), gold=network())
    curve = relearning(some, zeros, Runtime(), wild)[1][0]["unlearned"]
    assert None in curve["loss"]
    assert [
        a for a, loss in zip(curve["accuracy"], curve["loss"], strict=True) if loss is None
    ] == [0.0] * curve["loss"].count(None)
