"""Our measures against the numbers that published programs gave on the same arrays.

``benchmarks/reference_programs.py`` ran them and wrote reference_numbers.json. Where ours is meant
to differ, the test says by what.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import reference_arrays
from lotus_unlearning.metrics import (
    attack_auc,
    best_threshold,
    confidence,
    cross_entropy,
    entropy,
    entropy_attack,
    forgetting_quality,
    jsd_as_published,
    klom,
    label_probability,
    lira_offline,
    lira_online,
    margin,
    modified_entropy,
    rf_jsd_as_published,
    rmia,
    softmax,
    tpr_at_fpr,
    zrf,
)

STORED = json.loads((Path(__file__).parent / "reference_numbers.json").read_text("utf-8"))
VARIANCES = ("per image", "shared")


def case(name):
    """Arrays, made again, and what the program gave on them."""
    entry = STORED[name]
    recipe = dict(entry["arrays"])
    arrays = getattr(reference_arrays, recipe.pop("recipe"))(**recipe)
    total = sum(array.sum() for array in arrays.values())
    assert total == pytest.approx(entry["sum"], rel=1e-12), "numpy draws other arrays than it did"
    return arrays, entry["numbers"]


def agree(ours, theirs, rtol=1e-6):
    np.testing.assert_allclose(ours, theirs, rtol=rtol)


@pytest.mark.parametrize("variance", VARIANCES)
def test_lira_as_published_is_minus_what_the_authors_code_gives(variance):
    a, numbers = case("lira")
    bank, options = (a["margins"], a["bank"], a["seen"]), {"as_published": True}
    agree(-lira_online(*bank, variance=variance, **options), numbers[f"generate_ours, {variance}"])
    offline = numbers[f"generate_ours_offline, {variance}"]
    agree(-lira_offline(*bank, variance=variance, **options), offline)


def test_lira_as_published_is_minus_what_tensorflow_privacy_gives():
    a, numbers = case("tfp lira")
    bank = a["margins"], a["bank"], a["seen"]
    agree(-lira_online(*bank, as_published=True), numbers["both, per image, median"])
    agree(-lira_offline(*bank, as_published=True), numbers["out, per image, median"])


@pytest.mark.parametrize("variance", VARIANCES)
def test_lira_is_minus_what_tensorflow_privacy_gives_with_means_but_for_s_minus_1(variance):
    """It divides squares by S. Margins drawn together by that much have its variances in ours."""
    a, numbers = case("tfp lira")
    bank, seen = a["bank"], a["seen"]
    for side in (seen, ~seen):
        count = side.sum(axis=0)
        centre = np.mean(bank, axis=0, where=side)
        nearer = centre + np.sqrt((count - 1) / count) * (bank - centre)
        bank = np.where(side, nearer, bank)
    ours = lira_online(a["margins"], bank, seen, variance=variance)
    agree(-ours, numbers[f"both, {variance}, mean"])


def test_shared_variance_of_tensorflow_privacy_is_not_that_of_the_authors_code():
    """Around each image's median on its own side, not around one grand mean of in-margins."""
    numbers, authors = case("tfp lira")[1], case("lira")[1]
    agree(numbers["both, per image, median"], authors["generate_ours, per image"])
    assert not np.allclose(
        numbers["both, shared, median"], authors["generate_ours, shared"], rtol=0.1
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("lira margin", "margin"),
        ("tfp statistics", "logit"),
        ("forgetting margin", "margin"),
        ("klom margin", "margin"),
    ],
)
def test_margin_is_what_four_programs_give(name, key):
    a, numbers = case(name)
    agree(margin(a["logits"], a["labels"]), np.ravel(numbers[key]))


def test_probability_and_loss_are_what_tensorflow_privacy_gives():
    a, numbers = case("tfp statistics")
    agree(label_probability(a["logits"], a["labels"]), numbers["conf with prob"])
    agree(cross_entropy(a["logits"], a["labels"]), numbers["xe"])


def test_entropies_are_what_song_and_mittals_code_and_tensorflow_privacy_give():
    a, song = case("song mittal scores")
    _, tfp = case("tfp entropies")
    for numbers in (song, tfp):
        agree(modified_entropy(a["logits"], a["labels"]), numbers["modified entropy"])
        agree(entropy(softmax(a["logits"])), numbers["entropy"])
    agree(label_probability(a["logits"], a["labels"]), song["confidence"])
    assert (confidence(softmax(a["logits"])) >= song["confidence"]).all()  # of the likeliest class


def test_auc_and_best_accuracy_are_what_three_programs_give():
    a, lira = case("lira sweep")
    tfp, song = case("tfp threshold")[1], case("song mittal threshold")[1]
    best = best_threshold(a["members"], a["others"])
    agree(attack_auc(a["members"], a["others"]), [lira["auc"], tfp["auc"]])
    agree(best.accuracy, [lira["accuracy"], (1 + tfp["advantage"]) / 2, song["accuracy"]])
    scores = np.concatenate([a["members"], a["others"]])
    above = scores[scores > best.threshold].min()  # theirs: members are at or above it
    agree(above, song["threshold"])


def test_true_positive_rates_are_what_the_adversarial_robustness_toolbox_gives():
    a, numbers = case("art rates")
    for rate, theirs in numbers.items():
        agree(tpr_at_fpr(a["members"], a["others"], float(rate)).tpr.value, theirs)


def test_offline_rmia_is_what_ml_privacy_meter_gives_where_no_model_saw_the_images():
    a, numbers = case("rmia")
    x, z = a["probability"], a["population"]
    out_x, out_z = a["reference"], a["reference_population"]
    agree(rmia(x, out_x, z, out_z, a=0.3), numbers["a 0.3, saw nothing"])
    agree(rmia(x, out_x, z, out_z, a=1.0), numbers["a 1, saw nothing"])
    agree(rmia(x, out_x[:1], z, out_z[:1], a=0.3), numbers["a 0.3, one reference"])


def test_ml_privacy_meter_means_the_largest_half_of_references_over_the_population():
    """Half of its references saw each image, and it keeps that many of the largest numbers.

    Of an image that leaves those that did not see it, as the others are set to 0. But no model saw
    the population, and of it only the higher half of the references is left. The paper has the mean
    over all references that did not see it, as we do.
    """
    a, numbers = case("rmia")
    x, z, out_z = a["probability"], a["population"], a["reference_population"]
    half = len(out_z) // 2
    out_x = a["reference"].T[~a["seen"].T].reshape(-1, half).T
    theirs = numbers["a 0.3, half saw each"]
    agree(rmia(x, out_x, z, np.sort(out_z, axis=0)[half:], a=0.3), theirs)
    ours = rmia(x, out_x, z, out_z, a=0.3)
    assert (ours <= theirs).all()
    assert (ours < theirs).any()


def test_forgetting_quality_is_what_the_challenges_code_gives_where_its_grid_parts_all_margins():
    a, numbers = case("forgetting quality")
    result = forgetting_quality(a["unlearned"], a["gold"])
    agree(result.epsilon, numbers["epsilon"])
    agree(result.score, numbers["score"])


def test_forgetting_quality_is_below_what_the_challenges_code_gives_where_margins_are_close():
    """Its grid, 100 thresholds a unit, steps over margins that are nearer than that."""
    a, numbers = case("forgetting quality, close")
    result = forgetting_quality(a["unlearned"], a["gold"])
    more = result.epsilon - numbers["epsilon"]
    assert (more > -1e-6).all()
    assert (more > 0.1).any()
    assert result.score <= numbers["score"]


def test_klom_as_published_is_what_data_unlearning_bench_gives():
    a, numbers = case("klom")
    agree(klom(a["unlearned"], a["gold"], as_published=True), numbers["klom"])


def test_divergences_as_published_are_what_the_lotus_code_gives():
    a, numbers = case("lotus divergences")
    p, q = softmax(a["logits"]), softmax(a["other"])
    agree(jsd_as_published(p, q), numbers["JSDiv"])
    ours = rf_jsd_as_published(p, a["labels"], q, a["labels"])
    assert round(ours, 6) == numbers["log_js_proxy"]  # it is rounded there


@pytest.mark.parametrize(("name", "apart"), [("lotus attack", 0.0), ("lotus attack, alike", 0.02)])
def test_entropy_attack_of_the_lotus_code_has_half_of_our_penalty(name, apart):
    """``multi_class="multinomial"`` has weights for both classes; C = 2 is the same with one."""
    a, numbers = case(name)
    retain, forget, test, unseen = (entropy(softmax(logits)) for logits in a.values())
    others = np.concatenate([test, unseen])
    entropies = np.concatenate([retain, others])[:, None]
    is_member = np.repeat([1, 0], [len(retain), len(others)])
    attack = LogisticRegression(class_weight="balanced", C=2.0).fit(entropies, is_member)
    agree(attack.predict(forget[:, None]).mean(), numbers["log_mia"])
    agree(entropy_attack(retain, others, forget), numbers["log_mia"] - apart)


def test_zrf_of_the_bad_teachers_code_is_not_that_of_its_paper():
    """Arguments of KL are swapped, as in the LoTUS code, and it is averaged over classes, too."""
    a, numbers = case("zrf")
    p, q = softmax(a["logits"]), softmax(a["other"])
    images, classes = p.shape
    agree(1 - jsd_as_published(p, q) * images / classes, numbers["zrf"])
    assert zrf(p, q) < numbers["zrf"] - 0.05


def test_every_stored_entry_says_where_it_is_from():
    for entry in STORED.values():
        assert entry["source"].split()[0] in ("PyPI", "GitHub")
        assert all(entry[key] for key in ("version", "file", "function", "arrays", "numbers"))
