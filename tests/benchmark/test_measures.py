import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from lotus_unlearning import ImageTensors, Splits, metrics
from lotus_unlearning.benchmark import measures
from lotus_unlearning.benchmark.measures import BINS, entropies, measure


def splits():
    draw = torch.Generator().manual_seed(0)
    train, unseen, test = (
        (torch.rand(n, 1, 4, 4, generator=draw), torch.arange(n) % 3) for n in (60, 30, 30)
    )
    return Splits.random(ImageTensors(*train), fraction=0.2, unseen=unseen, test=test)


def logits(seed, sure=2.0):
    draw = np.random.default_rng(seed)
    return {
        part: (draw.normal(size=(n, 3)) + sure * np.eye(3)[np.arange(n) % 3]).astype(np.float32)
        for part, n in (("train", 60), ("unseen", 30), ("test", 30))
    }


def test_distances_are_means_over_the_golds():
    s, model, golds = splits(), logits(0), [logits(i) for i in (1, 2, 3)]
    values = measure(model, logits(9, 4.0), golds, s)
    rows = s.forget.ids.numpy()
    p = softmax(model["train"][rows].astype(float), axis=1)
    q = [softmax(gold["train"][rows].astype(float), axis=1) for gold in golds]
    js = [np.mean([jensenshannon(a, b) ** 2 for a, b in zip(p, g, strict=True)]) for g in q]
    assert values["js_divergence"] == pytest.approx(np.mean(js), abs=1e-9)
    labels = s.forget.labels.numpy()
    accuracy = [(x["train"][rows].argmax(1) == labels).mean() for x in (model, *golds)]
    gaps = [abs(accuracy[0] - other) for other in accuracy[1:]]
    assert values["gap_forget_accuracy"] == pytest.approx(np.mean(gaps))
    keys = ("entropy_attack", "forget_accuracy", "retain_accuracy", "test_accuracy")
    assert values["average_gap"] == pytest.approx(np.mean([values[f"gap_{k}"] for k in keys]))


def test_a_model_that_is_the_original_closes_nothing_and_a_gold_closes_all():
    s, golds, original = splits(), [logits(i, 1.0) for i in (1, 2, 3, 4)], logits(9, 8.0)
    assert measure(original, original, golds, s)["closes"] == pytest.approx(0)
    assert measure(golds[0], original, golds[1:], s)["closes"] > 0.8


def test_what_golds_say_alone_is_computed_once_and_stays_the_same_to_the_bit(monkeypatch):
    s, original, golds = splits(), logits(9, 4.0), [logits(i) for i in (1, 2, 3)]
    asked, attack = [], metrics.entropy_attack
    monkeypatch.setattr(metrics, "entropy_attack", lambda *a: asked.append(a) or attack(*a))
    models = [original, logits(5), logits(6), golds[0]]
    monkeypatch.setattr(measures, "_KNOWN", {})
    known = [measure(model, original, golds, s) for model in models]
    assert len(asked) == 6
    for model, values in zip(models, known, strict=True):
        measures._KNOWN.clear()
        assert measure(model, original, golds, s) == values


def test_other_splits_of_the_same_predictions_are_measured_anew(monkeypatch):
    monkeypatch.setattr(measures, "_KNOWN", {})
    model, some = logits(0), splits()
    less = Splits.from_ids(
        some.forget.source, [0, 1, 2], unseen=some.unseen.source, test=some.test.source
    )
    accuracies = [measure(model, model, [], s)["forget_accuracy"] for s in (some, less, some)]
    right = [
        (model["train"][s.forget.ids].argmax(1) == s.forget.labels.numpy()).mean()
        for s in (some, less, some)
    ]
    assert accuracies == right
    assert len(set(accuracies)) == 2


def test_without_golds_nothing_is_said_of_them():
    values = measure(logits(0), logits(1), [], splits())
    assert "js_divergence" not in values
    assert "closes" not in values
    assert values["rf_js_divergence"] >= 0


def test_entropies_count_every_image_once():
    counts = entropies(logits(0), splits())
    assert sum(counts["forget"]) == 12
    assert sum(counts["unseen"]) == 30
    assert len(counts["forget"]) == BINS


def test_the_streisand_distance_is_zero_for_equal_and_one_for_separate_entropies():
    s = splits()
    sure = {part: 20 * np.eye(3)[np.arange(len(x)) % 3] for part, x in logits(0).items()}
    mixed = {**sure, "train": np.zeros((60, 3))}
    assert measure(sure, sure, [], s)["entropy_distance"] == 0
    assert measure(mixed, sure, [], s)["entropy_distance"] == 1
