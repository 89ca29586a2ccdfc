import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from lotus_unlearning.metrics.holm import holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_raw_values_and_bonferroni_and_keeps_their_order(p):
    adjusted = holm(p)
    assert all(a >= raw - 1e-12 for a, raw in zip(adjusted, p, strict=True))
    assert all(a <= min(1, len(p) * raw) + 1e-12 for a, raw in zip(adjusted, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_holm_is_stricter_than_the_false_discovery_rate():
    p = [0.001, 0.01, 0.02, 0.03, 0.5]
    assert all(np.array(holm(p)) >= false_discovery_control(p) - 1e-12)
    assert holm(p) == pytest.approx([0.005, 0.04, 0.06, 0.06, 0.5])


def test_without_a_p_value_there_is_no_corrected_one():
    assert np.isnan(holm([np.nan, np.nan])).all()
    assert holm([]).shape == (0,)
