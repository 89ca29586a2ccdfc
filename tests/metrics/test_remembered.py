import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from lotus_unlearning.metrics import attack_auc, remembered


def scores(draw, classes=(12, 30), others=(40, 25), shift=0.0):
    """Scores and labels of members and non-members; class 1 is harder than class 0."""
    member_labels = np.repeat([0, 1], classes)
    other_labels = np.repeat([0, 1], others)
    members = draw.normal(-3.0 * member_labels + shift)
    return members, member_labels, draw.normal(-3.0 * other_labels), other_labels


def test_of_one_class_it_is_the_auc_and_the_p_value_of_mann_whitney():
    draw = np.random.default_rng(0)
    members, others = draw.normal(0.3, size=40), draw.normal(size=60)
    found = remembered(members, np.zeros(40), others, np.zeros(60))
    known = mannwhitneyu(members, others, alternative="greater", use_continuity=False)
    assert found.auc == attack_auc(members, others)
    assert found.p_value == pytest.approx(known.pvalue, abs=1e-12)


def test_it_is_the_mean_over_members_of_the_share_of_their_class_below_them():
    members, labels, others, other_labels = scores(np.random.default_rng(1))
    below = [
        np.mean(others[other_labels == label] < score)
        for score, label in zip(members, labels, strict=True)
    ]
    assert remembered(members, labels, others, other_labels).auc == pytest.approx(np.mean(below))


def test_an_unequal_share_of_hard_classes_is_no_memory():
    draw = np.random.default_rng(2)
    easy = scores(draw, classes=(60, 5), others=(5, 60))
    assert attack_auc(easy[0], easy[2]) > 0.8
    assert abs(remembered(*easy).auc - 0.5) < 0.2


@pytest.mark.parametrize("classes", [(1, 0), (2, 3), (60, 40)])
def test_what_is_not_remembered_is_called_so_in_95_of_100_draws(classes):
    draw = np.random.default_rng(3)
    p_values = [remembered(*scores(draw, classes)).p_value for _ in range(2000)]
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.065


def test_what_is_remembered_is_found():
    draw = np.random.default_rng(4)
    found = [remembered(*scores(draw, (60, 60), (60, 60), shift=0.8)) for _ in range(50)]
    assert np.mean([one.p_value < 0.05 for one in found]) > 0.95
    assert min(one.auc for one in found) > 0.55


def test_the_limit_is_above_the_truth_in_95_of_100_draws():
    draw = np.random.default_rng(5)
    limits = [remembered(*scores(draw)).at_most for _ in range(1000)]
    assert np.mean(np.array(limits) >= 0.5) > 0.93
    assert max(limits) <= 1.0


def test_ties_make_it_cautious_and_constant_scores_say_nothing():
    found = remembered(np.zeros(9), np.zeros(9), np.zeros(20), np.zeros(20))
    assert (found.auc, found.p_value) == (0.5, 0.5)


def test_members_of_classes_without_a_nonmember_are_left_out_and_counted():
    found = remembered([3.0, 1.0, 1.0], [0, 0, 7], [2.0], [0])
    assert (found.auc, found.members, found.left_out) == (0.5, 2, 1)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"expected a class that is among .* \[0.0\] and \[1.0\]"):
        remembered([1.0], [0], [1.0], [1])
    with pytest.raises(ValueError, match="member_labels: expected one for each of 2 scores, got 1"):
        remembered([1.0, 2.0], [0], [1.0], [0])
    with pytest.raises(ValueError, match="nonmember_scores"):
        remembered([1.0], [0], [], [])
