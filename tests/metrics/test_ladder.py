"""The whole ladder against planted truth: one world, one model that leaks, one that does not."""

import numpy as np
import pytest

from lotus_unlearning.metrics import (
    LADDER,
    METRICS,
    attack_auc,
    best_threshold,
    bootstrap_auc,
    entropy,
    forgetting_quality,
    jsd_to_other_golds,
    klom,
    ks_distance,
    label_probability,
    lira_offline,
    lira_online,
    margin,
    margin_tails,
    membership_scores,
    outside_gold_band,
    rmia,
    softmax,
    tpr_at_fpr,
    u_lira,
)

FORGET, UNSEEN, CLASSES, GOLDS = 300, 1500, 4, 16
F, U = slice(FORGET), slice(FORGET, FORGET + UNSEEN)


class World:
    """Images of very different difficulty; a model that saw one is surer of its label."""

    def __init__(self):
        self.draw = np.random.default_rng(7)
        count = FORGET + UNSEEN
        self.labels = self.draw.integers(0, CLASSES, count)
        self.base = self.draw.normal(size=(count, CLASSES))
        self.base[np.arange(count), self.labels] += self.draw.normal(0, 2.5, count)

    def logits(self, learned):
        z = self.base + 0.4 * self.draw.normal(size=self.base.shape)
        z[np.arange(len(z)), self.labels] += 2.5 * learned
        return z

    def none(self):
        return np.zeros(len(self.labels), dtype=bool)

    def all_forget(self):
        return np.arange(len(self.labels)) < FORGET

    def margins(self, models):
        return np.stack([margin(z, self.labels) for z in models])


@pytest.fixture(scope="module")
def world():
    made = World()
    made.golds = [made.logits(made.none()) for _ in range(GOLDS)]
    made.clean = made.logits(made.none())
    made.leaking = made.logits(made.all_forget())
    return made


@pytest.mark.parametrize(
    "score", ["entropy", "confidence", "loss", "margin", "modified_entropy", "gradient_norm"]
)
def test_level_0_scores_catch_the_leak_and_give_a_gold_its_half(world, score):
    def auc(z):
        norms = np.exp(-margin(z, world.labels))
        values = membership_scores(z, world.labels, norms)[score]
        return bootstrap_auc(values[F], values[U])

    leaking, clean = auc(world.leaking), auc(world.clean)
    assert leaking.low > 0.6
    assert clean.low <= 0.5 <= clean.high


def test_level_0_rates_catch_the_leak_and_not_a_gold(world):
    def rates(z):
        m = margin(z, world.labels)
        h = entropy(softmax(z))
        return (
            tpr_at_fpr(m[F], m[U], 0.01),
            tpr_at_fpr(m[F], m[U], 0.001),
            best_threshold(m[F], m[U]).held_out,
            ks_distance(h[F], h[U]).p_value,
        )

    leaking, clean = rates(world.leaking), rates(world.clean)
    assert leaking[0].p_value < 1e-3 < 0.01 < clean[0].p_value
    assert leaking[1].reason == clean[1].reason == ""
    assert leaking[2] > 0.6 > 0.55 > clean[2]
    assert leaking[3] < 1e-6 < 0.01 < clean[3]


def test_level_1_references_catch_the_leak_and_not_a_gold(world):
    golds = [softmax(z)[F] for z in world.golds]
    yardstick = jsd_to_other_golds(golds).mean(axis=1)
    bank = world.margins(world.golds)[:, F]
    share = outside_gold_band(bank[0], bank).golds
    for z, caught in ((world.leaking, True), (world.clean, False)):
        m = margin(z, world.labels)[F]
        assert (jsd_to_other_golds(golds, softmax(z)[F]).mean() > yardstick.max()) == caught
        assert (outside_gold_band(m, bank).share > share.max() + 0.05) == caught
        assert (np.mean(margin_tails(m, bank).p_value < 0.05) > 0.2) == caught


@pytest.mark.parametrize("references", [1, GOLDS])
def test_level_1_rmia_catches_the_leak_and_not_a_gold(world, references):
    p = np.stack([label_probability(z, world.labels) for z in world.golds[:references]])
    half = slice(FORGET, FORGET + UNSEEN // 2)
    rest = slice(FORGET + UNSEEN // 2, FORGET + UNSEEN)
    found = {}
    for name, z in (("leaking", world.leaking), ("clean", world.clean)):
        mine = label_probability(z, world.labels)
        forget, unseen = (rmia(mine[s], p[:, s], mine[rest], p[:, rest]) for s in (F, half))
        found[name] = attack_auc(forget, unseen)
    assert found["leaking"] > 0.85
    assert found["clean"] == pytest.approx(0.5, abs=0.06)


def test_level_2_lira_catches_the_leak_and_not_a_gold(world):
    seen = np.random.default_rng(0).random((32, len(world.labels))) < 0.5
    bank = world.margins([world.logits(learned) for learned in seen])
    for lira in (lira_online, lira_offline):
        for variance in ("per image", "shared"):
            aucs = [
                attack_auc(scores[F], scores[U])
                for scores in (
                    lira(margin(z, world.labels), bank, seen, variance=variance)
                    for z in (world.leaking, world.clean)
                )
            ]
            assert aucs[0] > 0.95
            assert aucs[1] == pytest.approx(0.5, abs=0.06)


def test_level_2_banks_of_unlearned_models_catch_the_leak_and_not_golds(world):
    golds = world.margins(world.golds)[:, F]
    leaking = world.margins([world.logits(world.all_forget()) for _ in range(GOLDS)])[:, F]
    clean = world.margins([world.logits(world.none()) for _ in range(GOLDS)])[:, F]
    assert u_lira(leaking, golds).accuracy > 0.95
    assert u_lira(clean, golds).accuracy == pytest.approx(0.5, abs=0.05)
    assert klom(leaking, golds).mean() > 2 * klom(clean, golds).mean()
    assert forgetting_quality(leaking, golds).score < 0.01
    assert forgetting_quality(clean, golds).score > 0.1


def test_every_rung_is_a_row_of_metrics_and_says_its_cost_and_its_perfect_result():
    assert set(LADDER) <= set(METRICS)
    for name, rung in LADDER.items():
        assert rung.level in (0, 1, 2)
        assert rung.models
        assert rung.perfect not in ("", "0")
        assert METRICS[name].direction == "near gold"
        assert ("golds" in METRICS[name].needs) == (rung.level > 0)


def test_every_auc_is_a_rung():
    assert {name for name in METRICS if name.startswith("auc_")} <= set(LADDER)
