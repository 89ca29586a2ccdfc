"""How long a grid will take is said cheaply, or not at all."""

import time

from small import grid

from lotus_unlearning.benchmark import estimate
from lotus_unlearning.benchmark.estimate import estimates
from lotus_unlearning.benchmark.materials import Place
from lotus_unlearning.jobs.schedule import order
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.runtime import Runtime


def test_a_model_of_which_one_image_costs_much_is_not_trained_to_estimate_it(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a step")

    monkeypatch.setattr(estimate, "_DEAR", 0.0)
    monkeypatch.setattr(Runtime, "step", refuse)
    estimate._seconds_per_image.cache_clear()
    chosen = grid(tmp_path, seeds=1)
    (section,) = chosen.sections()
    training, forward = estimate._seconds_per_image(section.block.setup, Place("cpu"))
    estimate._seconds_per_image.cache_clear()
    assert training == 3 * forward > 0


def test_what_a_call_costs_is_not_counted_for_each_image(tmp_path, monkeypatch):
    answers = Runtime.answers

    def late(run, model, x):
        time.sleep(0.15)  # as where other processes have the cores
        return answers(run, model, x)

    monkeypatch.setattr(Runtime, "answers", late)
    estimate._seconds_per_image.cache_clear()
    (section,) = grid(tmp_path, seeds=1).sections()
    _, forward = estimate._seconds_per_image(section.block.setup, Place("cpu"))
    estimate._seconds_per_image.cache_clear()
    assert 0.15 / 64 < forward < 0.15 / 8


def test_cells_that_run_elsewhere_are_not_timed_here(tmp_path):
    cells = order(grid(tmp_path, seeds=1).cells())
    assert estimates(cells, cells, Store(tmp_path / "r"), None) == {}
