from dataclasses import replace

import numpy as np
import pytest

from lotus_unlearning.audit.judge import STATISTICS, Judge, effects, plain, self_test
from lotus_unlearning.audit.subjects import Subject
from lotus_unlearning.evaluation.predictions import Answers

IMAGES, CLASSES = 60, 4
LABELS = np.arange(IMAGES) % CLASSES
UNSEEN = np.arange(90) % CLASSES


def subject(seed, shift=0.0, images=IMAGES):
    """A model that is a draw: the first ``images`` forget images have ``shift`` more margin."""
    base, draw = np.random.default_rng(7), np.random.default_rng(seed)
    answers = {}
    for part, labels in (("forget", LABELS), ("unseen", UNSEEN)):
        hard = base.normal(2.0, 1.5, len(labels))
        logits = draw.normal(0.0, 0.4, (len(labels), CLASSES))
        logits[np.arange(len(labels)), labels] += hard + draw.normal(0.0, 0.3)
        if part == "forget":
            logits[np.arange(images), labels[:images]] += shift
        answers[part] = Answers(logits, labels)
    return Subject(f"model {seed}", answers)


@pytest.fixture(scope="module")
def judge():
    return Judge([subject(seed) for seed in range(12)])


def test_a_gold_that_is_held_out_is_judged_as_by_the_others_alone(judge):
    for i in (0, 5, 11):
        others = Judge([gold for j, gold in enumerate(judge.golds) if j != i])
        expected, found = others.verdict(judge.golds[i]), judge.verdict(judge.golds[i], i)
        assert found.golds == 11
        for one, other in zip(found.findings, expected.findings, strict=True):
            assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
            assert one.effect == pytest.approx(other.effect, rel=1e-9)


def test_what_golds_are_to_each_other_is_computed_once(judge, monkeypatch):
    first = self_test(judge, None, {})
    monkeypatch.setattr("lotus_unlearning.audit.judge.beside", None)
    assert self_test(judge, None, {}) == first  # nothing is left to compute


def test_the_statistics_are_chosen_in_advance_and_in_this_order(judge):
    found = judge.verdict(subject(99))
    assert [f.name for f in found.findings] == list(STATISTICS)
    assert found.findings[0].scale == "cube root"
    forget = [Subject(g.name, {"forget": g.forget}) for g in judge.golds]
    without = Judge(forget).verdict(Subject("", {"forget": subject(99).forget}))
    assert [f.name for f in without.findings] == list(STATISTICS)[:-2]


def test_golds_are_shown_on_the_scale_on_which_they_were_compared(judge):
    found = judge.verdict(subject(99))
    column = np.array([judge.row(g, frozenset({i}))[0] for i, g in enumerate(judge.golds)])
    scales = {"identity": column, "cube root": np.cbrt(column), "log": np.log(column)}
    for scale, there in scales.items():
        first = replace(found.findings[0], scale=scale)
        shown = effects(judge, replace(found, findings=(first, *found.findings[1:])))
        expected = (there - there.mean()) / there.std(ddof=1)
        np.testing.assert_allclose(shown[first.name], expected, rtol=1e-12)
    other = replace(found.findings[0], scale="square")
    with pytest.raises(ValueError, match="expected one of 'identity', 'cube root', 'log', got 'sq"):
        effects(judge, replace(found, findings=(other, *found.findings[1:])))


def test_planted_leaks_are_found_and_more_draws_of_the_same_pass(judge):
    passed = [judge.verdict(subject(seed)).outcome for seed in range(100, 160)]
    assert np.mean([outcome != "distinguishable" for outcome in passed]) >= 0.9
    for seed in range(200, 210):
        assert judge.verdict(subject(seed, shift=3.0)).outcome == "distinguishable"
        assert judge.verdict(subject(seed, shift=-3.0)).outcome == "distinguishable"


def test_the_self_test_says_how_many_golds_pass_and_from_where_leaks_are_seen(judge):
    put_back = {
        k: [subject(300 + 10 * k + i, shift=4.0, images=k) for i in range(2)] for k in (1, 40, 60)
    }
    found = self_test(judge, subject(400, shift=4.0), put_back)
    held_out = found["held_out"]
    assert held_out["golds"] == 12
    assert held_out["low"] <= held_out["share"] == held_out["passed"] / 12 <= held_out["high"]
    assert held_out["ok"]
    assert found["original"]["outcome"] == "distinguishable"
    assert [row["images"] for row in found["put_back"]] == [1, 40, 60]
    assert found["put_back"][-1]["caught"] == 2
    assert found["caught_from"] == 40


def test_one_miss_among_larger_numbers_puts_the_limit_higher(judge):
    put_back = {k: [subject(500 + k, shift=s)] for k, s in ((5, 4.0), (10, 0.0), (20, 4.0))}
    assert self_test(judge, None, put_back)["caught_from"] == 20
    assert self_test(judge, None, {5: [subject(600)]})["caught_from"] is None


@pytest.mark.parametrize("count", [0, 1, 2])
def test_with_fewer_than_three_golds_there_is_no_verdict(judge, count):
    few = Judge(judge.golds[:count])
    assert few.verdict(subject(99)) is None
    assert self_test(few, subject(99), {})["held_out"] is None


def test_few_golds_do_not_say_indistinguishable(judge):
    few = Judge(judge.golds[:5])
    assert few.verdict(subject(99)).outcome == "not enough gold models to say"
    assert self_test(few, None, {})["held_out"]["golds"] == 5


def test_every_gold_has_a_place_on_the_scale_of_the_verdict(judge):
    verdict = judge.verdict(subject(99))
    for values in effects(judge, verdict).values():
        assert len(values) == 12
        assert np.mean(values) == pytest.approx(0, abs=1e-9)
        assert np.std(values, ddof=1) == pytest.approx(1)


def test_what_a_statistic_cannot_be_is_not_named_as_found(judge):
    for finding in plain(judge.verdict(subject(99)))["findings"]:
        ends = [finding["found_below"], finding["found_above"]]
        if finding["name"] != "margin":
            assert all(end is None or 0 <= end <= 1 for end in ends)
