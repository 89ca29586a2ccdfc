import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from lotus_unlearning import (
    METRICS,
    Finetune,
    LoTUS,
    Splits,
    evaluate,
    metrics,
    report,
    train,
    unlearn,
)
from lotus_unlearning.evaluation.predictions import predict
from lotus_unlearning.runtime import Runtime


def images(size, seed, classes=3):
    prototypes = torch.randn(classes, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(size) % classes
    noise = torch.randn(size, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    return prototypes[labels] + noise, labels


def model(seed=0, classes=3):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, classes)
    )


@pytest.fixture
def splits():
    return Splits.from_ids(
        images(60, 1), forget=list(range(12)), unseen=images(30, 2), test=images(30, 3)
    )


def logits(model, split):
    """Logits of a split, computed apart from the package."""
    with torch.no_grad():
        x = split.source.images[split.ids]
        return copy.deepcopy(model).eval()(x).double().numpy()


def loss(z, split):
    """Cross-entropy of each image, computed apart from the package."""
    return functional.cross_entropy(torch.tensor(z), split.labels, reduction="none").numpy()


def test_measures_are_those_of_the_pure_functions(splits):
    un, orig, gold = model(0), model(1), model(2)
    values = evaluate(un, splits, original=orig, gold=gold, device="cpu").values
    parts = {n: getattr(splits, n) for n in ("forget", "retain", "unseen", "test")}
    for name, m in (("unlearned", un), ("original", orig), ("gold", gold)):
        for part, split in parts.items():
            right = (logits(m, split).argmax(1) == split.labels.numpy()).mean()
            assert values[name][f"{part}_accuracy"] == pytest.approx(right, abs=1e-12)
    soft = metrics.softmax
    p, q = soft(logits(un, splits.forget)), soft(logits(gold, splits.forget))
    expected = metrics.js_divergence(p, q).mean()
    assert values["unlearned"]["js_divergence"] == pytest.approx(expected, abs=1e-6)
    assert values["gold"]["js_divergence"] is None
    loss = [
        metrics.cross_entropy(logits(un, parts[n]), parts[n].labels.numpy())
        for n in ("forget", "unseen")
    ]
    auc = metrics.attack_auc(-loss[0], -loss[1])
    assert values["unlearned"]["auc_loss"] == pytest.approx(auc, abs=1e-6)


def test_every_row_is_a_known_metric_or_a_cost(splits):
    page = evaluate(model(), splits, original=model(1), gold=model(2), device="cpu").page
    rows = {row["measure"]: row for row in page["table"]}
    assert set(rows) - {"seconds", "peak_memory_bytes"} <= set(METRICS)
    for name, row in rows.items():
        if name in METRICS:
            assert row["direction"] == METRICS[name].direction
            for value in row["values"].values():
                if value is not None:
                    assert METRICS[name].lower - 1e-9 <= value <= METRICS[name].upper + 1e-9
        for low, high in (row.get("intervals") or {}).values():
            assert low <= high


def test_models_in_training_mode_are_measured_in_evaluation_mode_and_left_so(splits):
    training = model().train()
    before = copy.deepcopy(training)
    one = evaluate(training, splits, device="cpu").values
    two = evaluate(copy.deepcopy(before).eval(), splits, device="cpu").values
    assert one == two
    assert training.training
    assert torch.equal(training[1].running_mean, before[1].running_mean)


def test_a_model_is_equal_to_itself(splits):
    same = model()
    values = evaluate(same, splits, original=same, gold=copy.deepcopy(same), device="cpu").values
    assert values["unlearned"]["js_divergence"] == pytest.approx(0, abs=1e-12)
    assert values["unlearned"]["average_gap"] == 0
    assert values["unlearned"]["forget_accuracy"] == values["gold"]["forget_accuracy"]


def test_each_model_sees_each_image_once(splits):
    seen = []

    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, x):
            seen.append(len(x))
            return self.inner(x)

    counting = Counts()
    predict({"unlearned": counting}, splits, Runtime())
    assert sum(seen) == 60 + 30 + 30


def test_without_gold_and_unseen_the_rest_is_measured_and_the_gap_is_said():
    parts = Splits.from_ids(images(60, 1), forget=[1, 5, 9], test=images(30, 3))
    evaluation = evaluate(model(), parts, device="cpu")
    values = evaluation.values["unlearned"]
    assert "js_divergence" not in values
    assert "rf_js_divergence" not in values
    assert values["forget_accuracy"] is not None
    text = evaluation.to_markdown()
    assert "No gold model was given" in text
    assert "No unseen images were given: test images stand in their place" in text
    assert "tells forgotten from test images with an AUC" in " ".join(evaluation.page["summary"])
    losses = [-loss(logits(model(), part), part) for part in (parts.forget, parts.test)]
    assert values["auc_loss"] == pytest.approx(metrics.attack_auc(*losses), abs=1e-12)
    assert set(evaluation.page["entropy"]) == {"edges", "forget", "unseen"}


def test_a_class_that_unseen_lacks_is_reported(splits):
    unseen = images(30, 2)
    keep = unseen[1] != 2
    parts = Splits.from_ids(
        images(60, 1), forget=list(range(12)), unseen=(unseen[0][keep], unseen[1][keep])
    )
    text = evaluate(model(), parts, original=model(1), device="cpu").to_markdown()
    assert "Classes of forget without an unseen image, which RF-JSD leaves out: 1." in text


def test_the_bootstrap_follows_the_seed(splits):
    rows = [
        {r["measure"]: r for r in evaluate(model(), splits, seed=s, device="cpu").page["table"]}
        for s in (0, 0, 1)
    ]
    intervals = [r["auc_loss"]["intervals"]["unlearned"] for r in rows]
    assert intervals[0] == intervals[1]
    assert intervals[0] != intervals[2]


def test_an_unlearned_result_brings_its_history_time_and_settings(splits):
    result = unlearn(model(), splits, Finetune(epochs=2), device="cpu", progress=False)
    evaluation = evaluate(result, splits, original=model(), device="cpu")
    assert evaluation.values["unlearned"]["seconds"] == result.seconds
    assert evaluation.page["method"]["name"] == "Finetune"
    assert len(evaluation.page["history"]) == 2
    frame = evaluation.to_frame()
    assert list(frame.columns) == ["original", "unlearned"]
    assert math.isnan(frame.loc["seconds", "original"])
    table = evaluation.to_frame(intervals=True)
    ends = evaluation.intervals["original"]["auc_loss"]
    assert tuple(table.loc["auc_loss", "original"].tolist()[1:]) == ends
    assert math.isnan(table.loc["forget_accuracy", ("unlearned", "low")])
    assert evaluation.notes == evaluation.page["notes"]
    assert "<table>" in evaluation._repr_html_()
    assert "Accuracy on forget" in str(evaluation)


def test_a_caveat_is_told_once_for_all_models_that_it_is_true_of(splits):
    blind = [model(seed) for seed in (0, 1, 2)]
    for one in blind[:2]:
        for weight in one.parameters():
            weight.data.zero_()
    found = evaluate(blind[0], splits, original=blind[1], gold=blind[2], device="cpu")
    said = [note for note in found.page["notes"] if "cannot tell members" in note]
    assert len(said) == 1
    assert said[0].startswith("original, unlearned: entropy_attack: the regression")
    assert found.to_markdown().count("cannot tell members") == 1


def test_a_note_can_be_added(splits):
    found = evaluate(model(), splits, device="cpu")
    assert found.with_note("Mind this.").page["notes"] == [*found.page["notes"], "Mind this."]
    assert "- Mind this." in found.with_note("Mind this.").to_markdown()


def test_a_broken_model_is_refused(splits):
    broken = model()
    with torch.no_grad():
        broken[0].weight.fill_(float("inf"))
    with pytest.raises(ValueError, match="finite weights"):
        evaluate(model(), splits, gold=broken, device="cpu")


def test_numbers_are_not_rounded(splits):
    models = {"unlearned": model(1), "gold": model(2)}
    answers = predict(models, splits, Runtime())
    un, gold = answers["unlearned"], answers["gold"]
    right = un["retain"].logits.argmax(axis=1) == un["retain"].labels
    divergences = metrics.js_divergence(un["forget"].probabilities, gold["forget"].probabilities)
    expected = {"retain_accuracy": right.mean(), "js_divergence": divergences.mean()}
    found = evaluate(models["unlearned"], splits, gold=models["gold"], device="cpu")
    rows = {row["measure"]: row["values"] for row in found.page["table"]}
    for name, value in expected.items():
        assert value != round(value, 9)  # else nobody would see that it was rounded
        assert found.values["unlearned"][name] == value
        assert rows[name]["unlearned"] == value


def test_any_two_of_three_models_are_compared(splits):
    found = evaluate(None, splits, original=model(0), gold=model(1), device="cpu")
    assert list(found.values) == ["original", "gold"]
    assert found.values["original"]["js_divergence"] > 0
    assert found.values["original"]["average_gap"] is not None
    assert "<html" in report.render(found.page)
    assert any("the loss of the original model tells" in text for text in found.page["summary"])
    with pytest.raises(ValueError, match="expected a model to measure, got none"):
        evaluate(None, splits, device="cpu")


def test_models_of_different_classes_are_refused(splits):
    with pytest.raises(ValueError, match="the same number of classes, got 3 of unlearned, 4 of go"):
        evaluate(model(0), splits, gold=model(1, classes=4), device="cpu")


@pytest.mark.parametrize("target", [None, 1.0])
def test_unlearning_that_changed_nothing_is_said_first(splits, target):
    before = model(0)
    wrong = (logits(before, splits.retain).argmax(1) != splits.retain.labels.numpy()).nonzero()[0]
    parts = Splits.from_ids(images(60, 1), splits.retain.ids[wrong[:5]], unseen=images(30, 2))
    made = unlearn(before, parts, LoTUS(epochs=3, target_accuracy=target), device="cpu")
    said = evaluate(made, parts, original=before, device="cpu").page["notes"][0]
    stopped = (
        "Unlearning changed nothing: it stopped in epoch 0, as accuracy on forget images (0.0 %)"
    )
    assert said.startswith(stopped)
    assert ("is already not above the target (100.0 %)" in said) == (target is not None)
    assert "of the original." in evaluate(before, parts, original=before).page["notes"][0]
    other = evaluate(model(1), parts, original=before, device="cpu").page["notes"]
    assert not any("changed nothing" in note for note in other)


def test_records_are_short_to_look_at(splits):
    made = unlearn(model(0), splits, Finetune(epochs=2), device="cpu")
    found = evaluate(
        made, splits, original=model(0), gold=train(model(1), splits.retain), device="cpu"
    )
    assert repr(found).startswith("Evaluation(original, unlearned, gold: ")
    assert repr(made).startswith("Unlearned(Sequential: 2 epochs, ")
    assert all(len(repr(record)) < 80 for record in (made, found))


def test_logits_of_retained_images_are_never_all_held(splits, monkeypatch):
    """There may be millions: two numbers of each are enough for what is asked of them."""
    asked, predict_all = [], Runtime.predict
    monkeypatch.setattr(Runtime, "predict", lambda *a: asked.append(a[2].name) or predict_all(*a))
    page = evaluate(model(), splits, original=model(1), device="cpu").page
    assert asked == ["forget", "unseen", "test"] * 2
    expected = metrics.class_accuracies(
        logits(model(), splits.retain), splits.retain.labels.numpy(), 3
    )
    found = page["class_accuracy"]["values"]["unlearned"]
    assert found["retain"] == pytest.approx(expected.tolist())
    assert list(found) == ["forget", "retain", "unseen", "test"]


def test_infinite_logits_of_retained_images_are_refused(splits):
    from lotus_unlearning.evaluation.predictions import predict_briefly

    broken = model()
    with torch.no_grad():
        broken[-1].bias[0] = torch.inf
    with pytest.raises(ValueError, match="unlearned: expected finite logits of retain images"):
        predict_briefly({"unlearned": broken}, splits.retain, Runtime())


def overfitted(splits):
    """A model that knows its training images by heart."""
    made = nn.Sequential(nn.Flatten(), nn.Linear(25, 200), nn.ReLU(), nn.Linear(200, 3))
    x, y = splits.forget.source.images, splits.forget.source.labels
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(made(x), y).backward()
        optimizer.step()
    return made


def without_a_rule(forget, unseen):
    """Splits in which labels say nothing of the images: what is known of them is memory."""
    draw = torch.Generator().manual_seed(3)
    x, other = (torch.randn(n, 1, 5, 5, generator=draw) for n in (2 * forget, unseen))
    y, of_others = (torch.randint(3, (n,), generator=draw) for n in (2 * forget, unseen))
    return Splits.from_ids((x, y), range(forget), unseen=(other, of_others))


def first_note(original, splits):
    return evaluate(model(), splits, original=original, device="cpu").page["notes"][0]


def test_it_says_whether_the_original_knows_the_forget_images_better_than_unseen_ones():
    few, many = without_a_rule(30, 60), without_a_rule(1200, 3000)
    assert "there is something to forget" in first_note(overfitted(few), few)
    assert "there is little to forget here" in first_note(model(1), many)
    assert "cannot be told from so few" in first_note(model(1), few)


def test_forget_images_that_are_harder_than_unseen_ones_are_not_called_little_to_forget():
    (x, y), unseen = images(90, 1), images(60, 2)
    wrong = torch.where(torch.arange(90) < 30, (y + 1) % 3, y)
    right = Splits.from_ids((x, y), range(30), unseen=unseen)
    note = first_note(overfitted(right), Splits.from_ids((x, wrong), range(30), unseen=unseen))
    assert "harder for the original" in note
    assert "little" not in note


def test_a_single_image_is_never_called_little_to_forget():
    one = without_a_rule(1, 12)
    assert "there is little" not in first_note(overfitted(one), one)


def test_whole_classes_are_left_out_of_what_it_says():
    labels = images(60, 1)[1]
    mixed = (labels == 0) | (torch.arange(60) < 9)  # a whole class, and 6 images of the others
    splits = Splits.from_ids(images(60, 1), forget=mixed, unseen=images(30, 2))
    assert "6 images" in first_note(model(1), splits)


def test_it_says_nothing_of_whole_classes_alone_or_without_unseen_images_of_theirs():
    labels = images(60, 1)[1]
    whole = Splits.from_ids(images(60, 1), forget=(labels == 0), unseen=images(30, 2))
    x, y = images(30, 2)
    others = Splits.from_ids(
        images(60, 1), forget=(labels == 0).nonzero()[:5, 0].tolist(), unseen=(x[y > 0], y[y > 0])
    )
    for splits in (whole, others, Splits.from_ids(images(60, 1), forget=[0, 1, 2])):
        notes = evaluate(model(), splits, original=model(1), device="cpu").page["notes"]
        assert not any("within classes" in note for note in notes)
