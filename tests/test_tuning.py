import csv
import dataclasses
import inspect
import io

import numpy as np
import pytest
import torch
import toy

from lotus_unlearning import Recipe, Splits, Understudy, unlearn
from lotus_unlearning.methods import METHODS, Retrain
from lotus_unlearning.methods.settings import default, with_settings
from lotus_unlearning.methods.spaces import SPACES, space
from lotus_unlearning.metrics import rf_js_divergence, softmax
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.tuning import FAILED, Trial, entry, trials_csv, tune
from lotus_unlearning.tuning.journal import drawn
from lotus_unlearning.tuning.objective import draws_of, objective

STEPS = 40  # of training: the model knows forget images better than unseen ones, so LoTUS runs


@pytest.fixture(scope="module")
def model():
    return toy.trained(steps=STEPS).float()


def parts(start=0):
    return Splits.from_ids(toy.data(), list(range(start, 48, 5)), unseen=toy.data(2, 16))


def search(model, journal, splits=None, name="random-labels", **more):
    options = {"budget": 2, "device": "cpu", "batch_size": 8, "progress": False} | more
    return tune(model, splits or parts(), name, journal=journal, **options)


def by_hand(model, splits, method, seed):
    """The objective of one draw, from the metrics alone."""
    made = unlearn(
        model, splits, method, seed=seed, device="cpu", batch_size=8, progress=False
    ).model
    before = copy_of(model)

    def beliefs(of, split):
        with torch.no_grad():
            return softmax(of.eval()(split.source.images[split.ids].float()).numpy())

    unseen, forget, retain = splits.unseen, splits.forget, splits.retain
    jsd = rf_js_divergence(
        beliefs(made, forget), forget.labels.numpy(), beliefs(before, unseen), unseen.labels.numpy()
    ).mean
    right = [(beliefs(m, retain).argmax(1) == retain.labels.numpy()).mean() for m in (before, made)]
    return jsd + max(0.0, right[0] - right[1])


def copy_of(model):
    made = toy.conv_model().float()
    made.load_state_dict(model.state_dict())
    return made


@pytest.mark.parametrize("name", ["lotus", "random-labels", "scrub", "unsir"])
def test_the_defaults_are_tried_first_and_their_objective_is_the_mean_over_draws(
    model, tmp_path, name
):
    found = search(model, tmp_path / "j", name=name)
    first = found.trials[0]
    assert first.settings == {key: default(name, key) for key in first.settings}
    assert first is found.default
    expected = [by_hand(model, parts(), METHODS[name](), seed) for seed in (0, 1)]
    assert first.values == pytest.approx(expected, abs=1e-9)
    assert first.value == pytest.approx(np.mean(expected), abs=1e-9)
    assert found.noise_floor == pytest.approx(np.std(expected, ddof=1), abs=1e-9)
    assert found.best.value == min(trial.value for trial in found.trials)
    assert found.method == with_settings(name, found.best.settings)


def test_each_draw_has_its_own_unlearning_seed(model, tmp_path):
    found = search(model, tmp_path / "a", budget=1)
    assert found.default.values[0] != found.default.values[1]
    later = search(model, tmp_path / "b", budget=1, seed=1)
    assert later.default.values[0] == found.default.values[1]


def test_several_splits_take_turns(model, tmp_path):
    sets = [parts(), parts(start=1)]
    found = search(model, tmp_path / "j", sets, budget=1, draws=3)
    method = METHODS["random-labels"]()
    expected = [by_hand(model, sets[k % 2], method, k) for k in range(3)]
    assert found.default.values == pytest.approx(expected, abs=1e-9)
    assert [draw["images"] for draw in found.facts["draws"]] == [0, 1, 0]


def test_the_objective_of_the_unchanged_original_is_told(model, tmp_path):
    found = search(model, tmp_path / "j", budget=1)
    nothing = type("Nothing", (), {"reads": frozenset(), "__call__": lambda *_: None})()
    assert found.unchanged == pytest.approx(by_hand(model, parts(), nothing, 0), abs=1e-9)


def test_accuracy_lost_on_retain_counts(model, tmp_path):
    splits = parts()
    found = search(model, tmp_path / "j", splits, name="gradient-ascent", budget=1)
    ruin = METHODS["gradient-ascent"](learning_rate=1.0, epochs=10)
    (draw, _) = draws_of(model, [(splits, 0), (splits, 1)], Runtime())
    made = unlearn(model, splits, ruin, device="cpu", batch_size=8, progress=False).model
    assert objective(made, draw) == pytest.approx(by_hand(model, splits, ruin, 0), abs=1e-9)
    assert objective(made, draw) > found.default.value + 0.3


class Poison:
    def __getattribute__(self, name):
        raise AssertionError(f"test images were read: {name}")


def test_neither_test_images_nor_gold_models_nor_the_model_itself_are_touched(
    model, tmp_path, monkeypatch
):
    def forbidden(*_, **__):
        raise AssertionError("a model was trained")

    monkeypatch.setattr(Retrain, "__call__", forbidden)
    monkeypatch.setattr("lotus_unlearning.training.fit", forbidden)
    before = copy_of(model)
    guarded = dataclasses.replace(parts(), test=Poison())
    found = search(model, tmp_path / "j", guarded, name="lotus")
    assert toy.difference(model, before) == 0
    assert found.trials == search(model, tmp_path / "k", name="lotus").trials
    assert not {"gold", "test"} & inspect.signature(tune).parameters.keys()


def test_settings_that_diverge_in_one_draw_count_as_failed(model, tmp_path, monkeypatch, capsys):
    def diverges(*words, seed, **more):
        if seed == 1:
            raise FloatingPointError("loss is nan")
        return unlearn(*words, seed=seed, **more)

    monkeypatch.setattr("lotus_unlearning.tuning.objective.unlearn", diverges)
    found = search(model, tmp_path / "j", progress=True)
    assert found.default.values[0] < 1
    assert found.default.value == found.best.value == FAILED
    assert "trial 1 of 2: not finite" in capsys.readouterr().err


def test_better_by_less_than_the_noise_floor_is_not_better(model, tmp_path):
    found = search(model, tmp_path / "j", draws=2)
    first = dataclasses.replace(found.default, values=(0.2, 0.4))  # deviation 0.141
    for value, better in ((0.16, False), (0.15, True), (0.3, False)):
        best = dataclasses.replace(first, values=(value, value))
        made = dataclasses.replace(found, default=first, best=best)
        assert made.better_than_noise is better
    alone_ = dataclasses.replace(first, values=(0.2,))
    assert dataclasses.replace(found, default=alone_).better_than_noise is None


def test_warnings_of_trials_are_kept_and_not_shown(model, tmp_path):
    found = search(model, tmp_path / "j", name="ssd", budget=1)  # a shown one is an error here
    assert "changes nothing here" in found.default.warnings[0]
    assert "changes nothing here" in trials_csv([found])


def test_a_line_for_every_finished_trial(model, tmp_path, capsys):
    found = search(model, tmp_path / "j", budget=2, progress=True)
    lines = capsys.readouterr().err.splitlines()
    values = [trial.value for trial in found.trials]
    best = [min(values[: n + 1]) for n in range(2)]
    assert lines == [
        f"random-labels: trial {n + 1} of 2: {values[n]:.6f}, best so far {best[n]:.6f}"
        for n in range(2)
    ]
    search(model, tmp_path / "j", budget=2, progress=True)
    assert "2 finished trials in" in capsys.readouterr().err


def test_the_record_tells_the_result_and_all_it_depends_on(model, tmp_path):
    found = search(model, tmp_path / "j", name="unsir", budget=3)
    made = entry(found, data="toy")
    assert with_settings("unsir", made["settings"]) == found.method
    told = made["search"]
    assert told["objective"] == found.best.value
    assert told["default"] == found.default.value
    assert told["noise_floor"] == found.noise_floor
    assert (told["trials"], told["data"], told["seed"]) == (3, "toy", 0)
    assert told["space"].keys() == made["settings"].keys()
    assert told["versions"]["torch"] == torch.__version__
    assert "not changed at all may have a good objective" in told["caution"]
    rows = list(csv.DictReader(io.StringIO(trials_csv([found]))))
    for row, trial in zip(rows, found.trials, strict=True):
        assert float(row["objective"]) == trial.value
        assert [float(row["draw 1"]), float(row["draw 2"])] == list(trial.values)
        assert {key: float(row[key]) for key in trial.settings} == trial.settings


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "retrain"}, "expected one with settings to search .*got 'retrain'"),
        ({"budget": 0}, "at least 1 trial"),
        ({"draws": 0}, "expected at least one for each of 1 splits, got 0"),
        ({"splits": [parts(), parts(1)], "draws": 1}, "each of 2 splits, got 1"),
        ({"splits": Splits.from_ids(toy.data(), [1])}, "never trained on; pass them"),
        ({"seed": -1}, "expected at least 0"),
    ],
)
def test_refuses_what_cannot_be_searched(model, tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        search(model, tmp_path / "j", **more)
    assert not (tmp_path / "j").exists()


def test_drawn_settings_stay_within_their_bounds():
    for name in SPACES:
        bounds = space(name, [parts()])
        for seed in range(20):
            for key, value in drawn(bounds, [], seed).items():
                assert bounds[key].low <= value <= bounds[key].high
                assert isinstance(value, int) == isinstance(bounds[key].low, int)


def test_what_is_tried_next_follows_from_what_was_found():
    bounds = space("finetune", [parts()])

    def after(best):
        rates = [1e-3 * 1.4**n for n in range(14)]
        done = [
            Trial({"learning_rate": float(f"{rate:.4g}"), "epochs": 5}, (abs(n - best) / 20,))
            for n, rate in enumerate(rates)
        ]
        return [drawn(bounds, done, seed)["learning_rate"] for seed in range(8)]

    assert after(1) == after(1)
    assert max(after(1)) < min(after(12))


@pytest.mark.parametrize("gone", [[0], [0, 2], [0, 1, 2]])
def test_of_a_whole_class_the_target_is_the_original_without_that_class(model, gone):
    labels = toy.data()[1]
    ids = torch.isin(labels, torch.tensor(gone)).nonzero().squeeze(1).tolist()
    splits = Splits.from_ids(toy.data(), ids, unseen=toy.data(2, 16))
    (draw,) = draws_of(model, [(splits, 0)], Runtime(torch.device("cpu")))
    with torch.no_grad():
        logits = model.eval()(toy.data(2, 16)[0].float()).numpy()
    kept = [label for label in range(toy.CLASSES) if label not in gone]
    assert (draw.unseen[:, gone] == 0).all()
    powers = np.exp(logits[:, kept] - logits[:, kept].max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(draw.unseen[:, kept], expected, atol=1e-6)


def test_of_a_whole_class_a_model_without_it_is_better_than_the_original(model):
    (draw,) = draws_of(model, [(toy.splits("class"), 0)], Runtime(torch.device("cpu")))
    blind = copy_of(model)
    (gone,) = torch.unique(toy.splits("class").forget.labels).tolist()
    with torch.no_grad():
        list(blind.parameters())[-1][gone] = -1e3  # the bias of its logit
    assert objective(blind, draw) < 0.5 * draw.unchanged


def test_of_a_whole_class_unsir_is_searched_in_its_version_for_classes(model, tmp_path):
    found = search(model, tmp_path / "j", toy.splits("class"), name="unsir", budget=1)
    assert {key.partition(".")[0] for key in found.best.settings} == {"mode", "by_class"}
    assert found.method.mode == "class"


def test_of_a_whole_class_the_search_begins_at_the_settings_for_classes(model, tmp_path):
    found = search(model, tmp_path / "j", toy.splits("class"), name="lotus", budget=2)
    assert found.default.settings["alpha"] == 32.0
    assert [trial.settings["target_accuracy"] for trial in found.trials] == [0.0, 0.0]
    assert entry(found)["settings"]["target_accuracy"] == 0.0
    assert found.method.target_accuracy == 0.0


def test_a_search_for_what_trains_anew_begins_at_what_suits_the_originals_recipe(model, tmp_path):
    recipe = Recipe(epochs=16, shift=2, flip=True)
    quick = {"name": "understudy", "budget": 2, "recipe": recipe}
    found = search(model, tmp_path / "j", **quick)
    start = Understudy().as_trained(recipe)
    assert with_settings("understudy", found.default.settings) == start
    for trial in found.trials:
        tried = with_settings("understudy", trial.settings)
        assert (tried.recipe.shift, tried.recipe.flip, tried.least_steps) == (2, True, 800)
    assert found.trials[1].settings != found.default.settings
    other = search(model, tmp_path / "other", name="finetune", budget=1, recipe=recipe)
    assert with_settings("finetune", other.default.settings) == METHODS["finetune"]()
