"""Settings by name put into a method: what is wrong is named as it was written."""

import pytest

from lotus_unlearning.methods import UNSIR
from lotus_unlearning.methods.settings import changed


def test_settings_within_settings_are_changed_alone():
    found = changed(UNSIR(), "unsir", {"by_instance.epochs": 3})
    assert found.by_instance.epochs == 3
    assert found.by_class == UNSIR().by_class


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"by_instance.epoch": 3},
            "some of settings of by_instance: .*epochs.*'by_instance.epoch'",
        ),
        ({"by_instance.epoch": 3}, "did you mean 'by_instance.epochs'"),
        ({"by_instanc.epochs": 3}, "expected some of mode, by_class, by_instance"),
        ({"by_instance.clamp": [0.5]}, r"by_instance.clamp \(expected 2 values, got 1\)"),
        ({"by_instance.epochs": "x"}, "by_instance.epochs .expected a whole number"),
        ({"by_instance": 3}, "by_instance .expected its settings one by one, as by_instance.NAME"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_stands_in(settings, message):
    with pytest.raises(ValueError, match=message):
        changed(UNSIR(), "unsir", settings)
