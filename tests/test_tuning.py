import copy
import dataclasses

import pytest
import toy
import yaml

from lotus_unlearning import METRICS, Splits, unlearn
from lotus_unlearning.cli import main
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.spaces import SPACES, Range
from lotus_unlearning.tuning import FAILED, _Score, tune


@pytest.fixture(scope="module")
def model():
    return toy.trained().float()


def parts(**more):
    return Splits.from_ids(toy.data(), forget=list(range(0, 48, 5)), unseen=toy.data(2, 16), **more)


def search(model, journal, **more):
    return tune(model, parts(), "lotus", journal=journal, device="cpu", **more)


@pytest.mark.parametrize("name", SPACES)
def test_spaces_hold_settings_of_the_method_and_its_defaults(name):
    defaults = METHODS[name]()
    for key, bounds in SPACES[name].items():
        value = getattr(defaults, key)
        assert key in {field.name for field in dataclasses.fields(defaults)}
        assert isinstance(bounds, Range)
        assert bounds.low <= value <= bounds.high


def test_every_method_but_the_gold_standard_has_a_space():
    assert SPACES.keys() == METHODS.keys() - {"retrain"}


def test_the_defaults_are_the_first_trial_and_the_best_is_no_worse(model, tmp_path):
    found = search(model, tmp_path / "j", budget=4)
    assert found.trials == 4
    result = unlearn(model, parts(), METHODS["lotus"](), device="cpu", progress=False)
    assert found.default == pytest.approx(_Score(model, parts(), "cpu")(result.model), abs=1e-12)
    assert found.objective <= found.default
    assert found.settings.keys() == SPACES["lotus"].keys()
    assert dataclasses.replace(found.method, **found.settings) == found.method


def test_a_search_goes_on_where_it_stopped(model, tmp_path):
    search(model, tmp_path / "j", budget=2)
    text = (tmp_path / "j").read_text()
    more = search(model, tmp_path / "j", budget=3)
    assert more.trials == 3
    assert (tmp_path / "j").read_text().startswith(text)
    assert search(model, tmp_path / "j", budget=3).trials == 3


def test_the_same_seed_searches_the_same(model, tmp_path):
    one, two = (search(model, tmp_path / name, budget=3) for name in "ab")
    assert one == two


def test_neither_test_images_nor_the_model_itself_are_touched(model, tmp_path):
    class Forbidden:
        def __len__(self):
            return 4

        @property
        def labels(self):
            raise AssertionError("read the test images")

        source = labels

    before = copy.deepcopy(model)
    splits = dataclasses.replace(parts(), test=None)
    tune(model, splits, "finetune", budget=2, journal=tmp_path / "j", device="cpu")
    assert toy.difference(model, before) == 0
    guarded = dataclasses.replace(splits, test=Forbidden())
    _Score(model, guarded, "cpu")(model)


def test_the_objective_is_the_published_measure_plus_lost_accuracy(model):
    assert "rf_js_divergence" in METRICS
    score = _Score(model, parts(), "cpu")
    assert 0 < score(model) < 0.7  # RF-JSD alone: nothing is lost
    ruined = toy.conv_model(seed=3).float()
    assert score(ruined) > score(model) + 0.3


def test_settings_that_diverge_count_as_failed(model, tmp_path, monkeypatch):
    def diverges(*_, **__):
        raise FloatingPointError("loss is nan")

    monkeypatch.setattr("lotus_unlearning.tuning.unlearn", diverges)
    assert search(model, tmp_path / "j", budget=1).objective == FAILED


@pytest.mark.parametrize(
    ("name", "budget", "message"),
    [
        ("retrain", 3, "expected one with settings to search"),
        ("unsir", 3, "got 'unsir'"),
        ("lotus", 0, "at least 1 trial"),
    ],
)
def test_refuses_what_cannot_be_searched(model, tmp_path, name, budget, message):
    with pytest.raises(ValueError, match=message):
        tune(model, parts(), name, budget=budget, journal=tmp_path / "j")


def test_the_command_writes_settings_that_a_preset_can_hold(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["tune", "ssd", "--data", "digits", "--limit", "150", "--budget", "2"]
    assert main([*words, "--recipe.epochs", "2", "--recipe.batch_size", "32"]) == 0
    entry = yaml.safe_load((tmp_path / "runs/tune-ssd/tuned.yaml").read_text())["ssd"]
    METHODS["ssd"](**entry["settings"])
    assert entry["search"]["trials"] == 2
    assert entry["search"]["data"] == "digits"
    assert yaml.safe_load(capsys.readouterr().out)["ssd"] == entry
