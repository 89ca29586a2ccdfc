"""The guard rails on numbers alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotus_unlearning.requests.guards import check, drift
from lotus_unlearning.requests.settings import Drift, Guards

SAME = {"retain_accuracy": 0.9, "test_accuracy": 0.8, "auc_loss": 0.6}
SHARES = st.floats(0, 1)


def holds(after, interval=(0.55, 0.65), guards=Guards()):  # noqa: B008
    return {c.name: c.holds for c in check(SAME, {**SAME, **after}, interval, guards)}


def test_an_unchanged_model_keeps_all_rails():
    assert holds({}) == dict.fromkeys(SAME, True)


@pytest.mark.parametrize(
    ("after", "broken"),
    [
        ({"retain_accuracy": 0.879}, {"retain_accuracy"}),
        ({"retain_accuracy": 0.88}, set()),
        ({"test_accuracy": 0.779}, {"test_accuracy"}),
        ({"auc_loss": 0.66}, {"auc_loss"}),
        ({"auc_loss": 0.65}, set()),
        ({"auc_loss": 0.34}, {"auc_loss"}),  # known worse than unseen images gives away, too
        ({"auc_loss": 0.36}, set()),
        ({"test_accuracy": None}, {"test_accuracy"}),
        ({"auc_loss": None}, {"auc_loss"}),
    ],
)
def test_each_rail_breaks_at_its_limit(after, broken):
    assert {name for name, kept in holds(after).items() if not kept} == broken


def test_an_attack_that_was_not_measured_before_breaks_its_rail():
    assert not holds({}, interval=None)["auc_loss"]


def test_without_test_images_their_rail_says_that_it_was_not_measured():
    bare = {"retain_accuracy": 0.9, "auc_loss": 0.6}
    found = {rail.name: rail for rail in check(bare, bare, (0.55, 0.61), Guards())}
    assert not found["test_accuracy"].holds
    assert found["test_accuracy"].why == "accuracy on test was not measured"
    assert found["retain_accuracy"].holds
    assert not drift(bare, bare, Drift())["recommends_retraining"]


@pytest.mark.parametrize(
    ("after", "kept"),
    [(0.2, True), (0.3, True), (0.4, True), (0.7, False), (0.005, True), (0.0, True)],
)
def test_with_golds_worse_is_farther_from_them_however_far_that_is_from_a_coin_toss(after, kept):
    found = check(SAME, {**SAME, "auc_loss": after}, (0.55, 0.61), Guards(), (0.25, 0.35))[-1]
    assert found.holds == kept
    assert found.why.endswith("at most 0.2600 from where golds are, 0.2500 to 0.3500")


@pytest.mark.parametrize(
    ("after", "kept"), [(0.17, True), (0.39, True), (0.41, False), (0.5, False)]
)
def test_a_coin_toss_is_worse_where_golds_are_surer_of_unseen_images(after, kept):
    before = {**SAME, "auc_loss": 0.30}
    found = check(before, {**SAME, "auc_loss": after}, (0.21, 0.40), Guards(), (0.05, 0.15))[-1]
    assert found.holds == kept


def test_without_an_attack_there_is_no_such_rail():
    assert "auc_loss" not in holds({}, guards=Guards(attack=None))


@given(retain=SHARES, test=SHARES)
def test_what_is_lost_is_what_the_sentence_says(retain, test):
    after = {**SAME, "retain_accuracy": retain, "test_accuracy": test}
    for rail in check(SAME, after, (0.5, 0.7), Guards()):
        if rail.name != "auc_loss":
            assert rail.holds == (SAME[rail.name] - after[rail.name] <= 0.02 + 1e-12)
            assert f"{after[rail.name]:.4f} after" in rail.why


def test_drift_counts_from_the_first_model():
    found = drift(SAME, {**SAME, "test_accuracy": 0.76}, Drift(test_accuracy_loss=0.05))
    assert found["measures"]["test_accuracy"]["loss"] == pytest.approx(0.04)
    assert not found["recommends_retraining"]
    assert drift(SAME, {**SAME, "test_accuracy": 0.74}, Drift())["recommends_retraining"]
    assert not drift({**SAME, "test_accuracy": None}, SAME, Drift())["recommends_retraining"]
