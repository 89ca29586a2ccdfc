"""Attacks with other models on images that no model learned, 200 times: they find nothing.

Images differ in how hard they are, and models in how sure they are, by as much as retrained ones
do: what is exchangeable is forget and unseen images, or unlearned models and golds.
"""

import numpy as np
import pytest

from chance import likely
from lotus_unlearning.metrics import bootstrap_auc, lira_offline, lira_online, rmia, u_lira

REPEATS = 200
FORGET, UNSEEN, POPULATION = 60, 80, 120
F = slice(FORGET)
U = slice(FORGET, FORGET + UNSEEN)
P = slice(FORGET + UNSEEN, FORGET + UNSEEN + POPULATION)
LEARNED = 3.0


def margins(draw, models, learned=None):
    """Of ``models`` on images of one distribution, ``[models + 1, N]``; the last is audited."""
    count = P.stop
    hard, sure = draw.normal(1, 3, count), draw.normal(0, 0.5, (models + 1, 1))
    found = hard + sure + draw.normal(size=(models + 1, count))
    return found if learned is None else found + LEARNED * learned


def by_rmia(draw, leak, models=4):
    found = margins(draw, models)
    found[-1, F] += leak
    p = 1 / (1 + np.exp(-found))
    return [rmia(p[-1, s], p[:-1, s], p[-1, P], p[:-1, P]) for s in (F, U)]


def by_rmia_online(draw, leak, models=4):
    found = margins(draw, models)
    found[-1, F] += leak
    p, seen = (1 / (1 + np.exp(-m)) for m in (found, found + LEARNED))
    return [
        rmia(p[-1, s], p[:-1, s], p[-1, P], p[:-1, P], in_probability=seen[:-1, s]) for s in (F, U)
    ]


def by_lira_offline(draw, leak, models=8, **options):
    found = margins(draw, models)
    found[-1, F] += leak
    return [lira_offline(found[-1, s], found[:-1, s], **options) for s in (F, U)]


def by_lira_online(draw, leak, side=6, **options):
    count = P.stop
    seen = np.stack([draw.permutation(np.repeat([True, False], side)) for _ in range(count)]).T
    found = margins(draw, 2 * side, np.vstack([seen, np.zeros((1, count), dtype=bool)]))
    found[-1, F] += leak
    return [lira_online(found[-1, s], found[:-1, s], seen[:, s], **options) for s in (F, U)]


ATTACKS = {
    "RMIA": by_rmia,
    "RMIA of one reference": lambda draw, leak: by_rmia(draw, leak, models=1),
    "RMIA online": by_rmia_online,
    "LiRA offline": by_lira_offline,
    "LiRA offline, shared": lambda draw, leak: by_lira_offline(draw, leak, variance="shared"),
    "LiRA online": by_lira_online,
    "LiRA online, shared": lambda draw, leak: by_lira_online(draw, leak, variance="shared"),
}


def intervals(attack, leak, repeats):
    for seed in range(repeats):
        scores = ATTACKS[attack](np.random.default_rng(seed), leak)
        yield bootstrap_auc(*scores, repeats=300, seed=seed)


@pytest.mark.parametrize("attack", ATTACKS)
def test_exchangeable_images_have_auc_a_half_within_the_interval_as_often_as_it_says(attack):
    low, high = likely(REPEATS, 0.95)
    hits = sum(i.low <= 0.5 <= i.high for i in intervals(attack, 0.0, REPEATS))
    assert low <= hits <= high


@pytest.mark.parametrize("attack", ATTACKS)
def test_images_that_a_model_learned_have_an_interval_above_a_half(attack):
    assert all(found.low > 0.5 for found in intervals(attack, LEARNED, 20))


def rounds(seed, leak=0.0, models=5, images=30):
    """U-LiRA of as many unlearned models as golds; a model as a whole is surer than another."""
    draw = np.random.default_rng(seed)
    hard = draw.normal(0, 3, images)
    forgot, never = (
        hard + draw.normal(size=(models, 1)) + draw.normal(size=(models, images)) for _ in range(2)
    )
    return u_lira(forgot + leak, never)


def test_u_lira_of_exchangeable_models_is_at_chance_on_average_and_no_interval_is_claimed():
    """Over 200 banks: each is far from a half more often than an interval over images would say.

    The models of one bank are in all its rounds, and a model that is surer than the others is so
    on all images: neither rounds nor images are independent. So the mean over banks is what can be
    asked for; and the audit compares with golds in the place of the unlearned models.
    """
    found = [rounds(seed) for seed in range(REPEATS)]
    for values in ([r.auc for r in found], [r.accuracy for r in found]):
        assert np.mean(values) == pytest.approx(0.5, abs=4 * np.std(values) / np.sqrt(REPEATS))
    naive = [bootstrap_auc(r.forgot.ravel(), r.never.ravel(), repeats=100) for r in found]
    assert sum(i.low <= 0.5 <= i.high for i in naive) < likely(REPEATS, 0.95)[0]


def test_u_lira_of_models_that_forgot_nothing_is_above_all_but_few_exchangeable_banks():
    usual = np.quantile([rounds(seed).auc for seed in range(REPEATS)], 0.975)
    leaking = [rounds(seed, leak=2 * LEARNED).auc for seed in range(20)]
    assert min(leaking) > usual
