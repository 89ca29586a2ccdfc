"""Seeded arrays that the published programs and our own measures are both given.

``benchmarks/reference_programs.py`` runs the former on them and stores their numbers;
``tests/metrics/test_reference_programs.py`` makes the arrays again.
"""

import numpy as np


def shadow_bank(seed, images, side):
    """Margins of one model, and of shadow models of which exactly half saw each image."""
    draw = np.random.default_rng(seed)
    level, spread = draw.normal(0, 3, images), draw.uniform(0.5, 2, images)
    half = np.repeat([True, False], side)
    seen = np.stack([draw.permutation(half) for _ in range(images)], axis=1)
    bank = level + 2 * seen + spread * draw.normal(size=seen.shape)
    return {"margins": level + spread * draw.normal(size=images), "bank": bank, "seen": seen}


def predictions(seed, images, classes):
    """Logits of one model, and labels."""
    draw = np.random.default_rng(seed)
    logits = 3 * draw.normal(size=(images, classes))
    return {"logits": logits, "labels": draw.integers(0, classes, images)}


def two_predictions(seed, images, classes):
    """Logits of two models, and labels of which every class has some."""
    draw = np.random.default_rng(seed)
    logits, other = 2 * draw.normal(size=(2, images, classes))
    labels = np.arange(images) % classes
    return {"logits": logits, "other": other, "labels": labels}


def attack_scores(seed, members, others):
    """Scores between 0 and 1, without ties, higher for members."""
    draw = np.random.default_rng(seed)
    return {"members": draw.beta(3, 2, members), "others": draw.beta(2, 3, others)}


def label_probabilities(seed, images, population, models):
    """Of the audited model and of reference models, of which exactly half saw each image."""
    draw = np.random.default_rng(seed)
    half = np.repeat([True, False], models // 2)
    return {
        "probability": draw.uniform(0.01, 1, images),
        "reference": draw.uniform(0.01, 1, (models, images)),
        "seen": np.stack([draw.permutation(half) for _ in range(images)], axis=1),
        "population": draw.uniform(0.01, 1, population),
        "reference_population": draw.uniform(0.01, 1, (models, population)),
    }


def unlearned_and_gold(seed, models, images, spread=1.0):
    """Margins of two sets of models; those of the first image go far beyond 100 either way."""
    draw = np.random.default_rng(seed)
    unlearned = draw.normal(0.5, 1, (models, images))
    gold = draw.normal(0, 1, (models, images))
    scale = np.where(np.arange(images) == 0, 80.0, spread)
    return {"unlearned": scale * unlearned, "gold": scale * gold}


def separated_margins(seed, models, images):
    """Margins of two sets of models of which no two are nearer than 0.27 on one image."""
    draw = np.random.default_rng(seed)
    sides = []
    for pull in np.linspace(0, 2, images):
        places = draw.permutation(3 * models)[: 2 * models]
        order = np.argsort(pull * places + 10 * draw.normal(size=2 * models))
        sides.append(0.27 * places[order])
    both = np.stack(sides, axis=1)
    return {"unlearned": both[models:], "gold": both[:models]}


def four_splits(seed, images, classes, scale=1.0):
    """Logits of one model on four splits; it is surer of those that it was trained on."""
    draw = np.random.default_rng(seed)
    sure = {"retain": 3.0, "forget": 2.5, "test": 2.0, "unseen": 2.0}
    shape = (images, classes)
    return {name: scale * times * draw.normal(size=shape) for name, times in sure.items()}
