import math
from itertools import combinations

import pytest
from results_data import LINES, chart_of, cloud_of, page_of, panels, variants

from lotus_unlearning.report import render_results
from lotus_unlearning.report.entropies import entropies
from lotus_unlearning.report.epochs import epochs, trace
from lotus_unlearning.report.intervals import intervals
from lotus_unlearning.report.labels import Box, place
from lotus_unlearning.report.palette import symbols
from lotus_unlearning.report.scale import Bounds, window
from lotus_unlearning.report.scatters import scatter

LOOKS = symbols(["paper", "tuned"])


def test_a_failed_method_keeps_its_row_and_a_far_one_is_written_at_the_edge():
    found = intervals("a", chart_of((3.0, 1.0, None, 2.0, 900.0), failed=(2,)), LOOKS)
    assert "failed" in found.svg
    assert "900 →" in found.svg
    assert "lotus (paper) failed" in found.svg


def test_what_was_not_run_has_no_row():
    whole = intervals("a", chart_of(), LOOKS).svg
    without = intervals("a", chart_of((3.0, 1.0, None, None, 2.0)), LOOKS).svg
    assert ">lotus<" in whole
    assert "lotus" not in without


def test_one_seed_has_dots_and_no_lines():
    with_lines = intervals("a", chart_of(), LOOKS).svg
    without = intervals("a", chart_of(spread=None), LOOKS).svg
    assert "lotus (tuned) 1.5;" in without
    assert without.count("<path") < with_lines.count("<path")


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_without_any_value_there_is_no_chart(value):
    values = (value,) * len(LINES)
    chart = chart_of(values, failed=(2, 3, 4))
    assert intervals("a", chart, LOOKS) is None
    page = page_of()
    page["sections"][0]["intervals"] = [chart]
    assert "side by side" not in render_results(page)


def test_one_method_without_references_has_a_chart():
    row = {**LINES[2], "value": 0.0, "low": 0.0, "high": 0.0, "failed": False}
    assert intervals("a", chart_of() | {"rows": [row]}, LOOKS) is not None


def test_dots_that_are_not_numbers_are_left_out():
    nan = math.nan
    assert scatter("a", cloud_of([(nan, 1)] * 4 + [(1, 1)]), LOOKS, (350, 300)) is None
    points = ((0, 3), (0, 1), (nan, 2), (-0.5, 1.5), (-2, math.inf))
    found = scatter("a", cloud_of(points), LOOKS, (350, 300)).svg
    assert ">lotus<" in found
    assert "(paper)" not in found


def test_equal_dots_and_a_constant_fit_can_be_drawn():
    for points in ([(1.0, 1.0)] * 5, [(1.0, float(i + 1)) for i in range(5)]):
        assert scatter("a", cloud_of(points, fit=True), LOOKS, (350, 300)) is not None


def test_a_correlation_with_one_far_dot_has_logarithmic_axes():
    points = ((9, 9), (10, 10), (11, 11), (12, 10), (500, 400))
    assert "log scale" in scatter("a", cloud_of(points, fit=True), LOOKS, (350, 300)).svg
    assert "log scale" not in scatter("a", cloud_of(fit=True), LOOKS, (350, 300)).svg


def test_a_seed_that_stopped_early_keeps_its_last_value():
    assert trace([[{"tau": 2}], [{"tau": 4}, {"tau": None}, {"tau": 6}]], "tau").tolist() == [
        [2, 2],
        [4, 6],
    ]
    assert trace([], "tau").size == 0


def test_epochs_without_anything_logged_have_no_chart():
    silent = {"label": "ssd", "settings": ["paper"], "runs": [[{"epoch": 0, "tau": math.nan}], []]}
    assert epochs("a", [silent]) == []
    titles = [chart.title for chart in epochs("a", variants())]
    assert titles == [f"{what}, {s}" for s in ("paper", "tuned") for what in (
        "Temperature τ", "Accuracy on forget images",
    )]  # fmt: skip


def test_panels_without_images_are_left_out():
    some = panels()
    some[2]["forget"] = [0, 0, 0]
    assert [chart.title for chart in entropies("a", some)][:3] == ["original", "gold", "lotus"]
    assert len(entropies("a", some)) == len(some) - 1
    assert entropies("a", []) == []


def test_an_axis_shows_what_lies_together_and_never_loses_gold():
    assert window([1, 2, 3, 4, 900])[1] < 10
    assert window([1, 2, 3, 4, 900], keep=[900])[1] >= 900
    assert window([]) == (0, 1)
    low, high = window([0.3, 0.1 + 0.2, 0.3, 0.3])  # equal but for rounding
    assert high - low > 0.01
    low, high = window([100.0] * 5, bounds=Bounds(0, 100))
    assert low < high == 100


@pytest.mark.parametrize("spread", [0.0, 4.0, 25.0, 90.0])
def test_names_cover_neither_each_other_nor_dots(spread):
    middle = [
        (150 + spread * math.cos(i * 2.4), 110 + spread * math.sin(i * 1.7)) for i in range(12)
    ]
    dots = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in middle]
    frame = Box(0, 0, 300, 220)
    labels = place([(30 + 5 * (i % 7), 8.5) for i in range(12)], [[p] for p in middle], dots, frame)
    for one, other in combinations(labels, 2):
        assert one.box.overlap(other.box) == 0
    for label in labels:
        assert label.box.outside(frame) == 0
        assert sum(label.box.overlap(dot) for dot in dots) < 0.1 * 64  # a corner of one, at most
