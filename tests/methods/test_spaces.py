import math

import pytest
import toy

from lotus_unlearning.methods import METHODS, LoTUS
from lotus_unlearning.methods.settings import default, with_settings
from lotus_unlearning.methods.spaces import SPACES, Range, space


def bounds_of(name, kind="some"):
    return space(name, [toy.splits(kind)], batch_size=8)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("kind", ["some", "half", "class"])
def test_two_to_four_settings_and_the_defaults_are_within_the_bounds(name, kind):
    bounds = bounds_of(name, kind)
    assert 2 <= len(bounds) <= 4
    for key, known in bounds.items():
        assert known.low <= default(name, key) <= known.high
    defaults = {key: default(name, key) for key in bounds}
    assert with_settings(name, defaults) == METHODS[name]()


def test_every_method_but_the_gold_standard_has_a_space():
    assert SPACES.keys() == METHODS.keys() - {"retrain"}


@pytest.mark.parametrize("name", SPACES.keys() - {"ssd"})
def test_bounds_follow_their_rules(name):
    for key, known in bounds_of(name).items():
        value, rule = default(name, key), SPACES[name][key]
        if rule == "tenfold":
            assert known == Range(pytest.approx(value / 10), pytest.approx(value * 10), log=True)
        elif rule == "rest":
            rest = pytest.approx((1 - value) / 10), pytest.approx((1 - value) * 10)
            assert (1 - known.high, 1 - known.low, known.log, known.rest) == (*rest, True, True)
        elif rule == "share":
            assert known == Range(pytest.approx(value / 10), 1.0)
        else:
            assert known == Range(1, 2 * value)
            assert isinstance(known.high, int)


@pytest.mark.parametrize("name", SPACES)
def test_rates_are_tenfold_and_epochs_are_counts(name):
    for key, rule in SPACES[name].items():
        if "rate" in key:
            assert rule == "tenfold"
        if key.endswith(("epochs", "steps")):
            assert rule == "count"


@pytest.mark.parametrize("kind", ["some", "half"])
def test_at_least_half_of_the_alphas_of_ssd_dampen_something(kind):
    known, splits = bounds_of("ssd", kind)["alpha"], toy.splits(kind)
    batches = [math.ceil(len(part) / 8) for part in (splits.forget, splits.retain)]
    idle = sum(batches) / batches[0]
    assert math.log(idle / known.low) >= 0.5 * math.log(known.high / known.low)
    middle = math.sqrt(known.low * known.high)
    model = toy.trained(steps=40)
    made = toy.run(model, splits, with_settings("ssd", {"alpha": 0.9 * min(middle, idle)}))
    assert toy.change(made.model, model) > 0


def test_unsir_is_searched_in_the_version_that_runs():
    assert {key.partition(".")[0] for key in bounds_of("unsir")} == {"by_instance"}
    assert {key.partition(".")[0] for key in bounds_of("unsir", "class")} == {"by_class"}
    with pytest.raises(ValueError, match="all whole classes, or none"):
        space("unsir", [toy.splits(), toy.splits("class")])


def test_settings_of_records_within_a_method_are_reached_by_a_dot():
    settings = {"by_instance.epochs": 3, "by_class.copies": 7, "mode": "instance"}
    made = with_settings("unsir", settings)
    assert (made.by_instance.epochs, made.by_class.copies, made.mode) == (3, 7, "instance")
    assert made.by_instance.learning_rate == default("unsir", "by_instance.learning_rate")


def test_unknown_settings_are_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"did you mean 'learning_rate'.*got 'a\.b'"):
        with_settings("finetune", {"learning_rat": 1, "a.b": 2})
    with pytest.raises(ValueError, match=r"got 'epochs\.more'"):
        with_settings("finetune", {"epochs.more": 1})


def test_a_method_within_a_method_goes_by_its_name_and_its_settings_by_a_dot():
    made = with_settings("salun", {"inner.epochs": 3, "inner": "lotus", "share": 0.2})
    assert (made.inner, made.share) == (LoTUS(epochs=3), 0.2)
    with pytest.raises(ValueError, match=r"inner: expected one of .*'lotsu'; did you mean 'lotus'"):
        with_settings("salun", {"inner": "lotsu"})
    with pytest.raises(ValueError, match=r"inner: expected one of .*got 5"):
        with_settings("salun", {"inner": 5})


def test_records_of_a_method_within_a_method_are_reached_by_two_dots():
    made = with_settings("salun", {"inner": "unsir", "inner.by_class.noise_steps": 3})
    assert made.inner.by_class.noise_steps == 3
