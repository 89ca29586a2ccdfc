"""A search that is stopped, goes on, meets another one."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import toy

from lotus_unlearning import Splits
from lotus_unlearning.methods import METHODS
from lotus_unlearning.tuning import alone
from test_tuning import STEPS, parts, search


@pytest.fixture(scope="module")
def model():
    return toy.trained(steps=STEPS).float()


def test_a_search_that_goes_on_ends_as_one_that_was_not_stopped(model, tmp_path):
    whole = search(model, tmp_path / "a", budget=5)
    for budget in (1, 3):
        search(model, tmp_path / "b", budget=budget)
    text = (tmp_path / "b").read_text()
    assert search(model, tmp_path / "b", budget=5) == whole
    assert (tmp_path / "b").read_text().startswith(text)
    tried = [json.dumps(trial.settings) for trial in whole.trials]
    assert len(set(tried)) == 5
    assert search(model, tmp_path / "c", budget=5, seed=7).trials[1:] != whole.trials[1:]
    few = search(model, tmp_path / "b", budget=2)
    assert few.trials == whole.trials[:2]


KILLED = """
import os, signal, sys
import test_tuning, toy, torch
from lotus_unlearning.runtime import Runtime
torch.set_num_threads(1)
left, step = [int(sys.argv[2])], Runtime.step
def counted(self, *words):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *words)
Runtime.step = counted
test_tuning.search(toy.trained(steps=test_tuning.STEPS).float(), sys.argv[1], budget=4)
"""


def test_a_search_survives_being_killed_in_the_middle_of_its_trials(model, tmp_path):
    def killed(step):
        path = os.pathsep.join([str(Path(__file__).parent), str(Path(toy.__file__).parent)])
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(step)],
            env={**os.environ, "PYTHONPATH": path},
        ).returncode

    whole = search(model, tmp_path / "whole", budget=4)
    assert killed(5) == -9  # the second draw of the defaults: 3 steps each
    assert (tmp_path / "killed").read_text().count('"settings"') == 0
    assert killed(8) == -9
    assert (tmp_path / "killed").read_text().count('"settings"') == 1
    found = search(model, tmp_path / "killed", budget=4)
    assert found == whole
    assert found.default.settings == {"learning_rate": 1e-4, "epochs": 3}


def test_half_a_line_and_a_lock_left_by_a_kill_are_mended(model, tmp_path):
    whole = search(model, tmp_path / "a", budget=3)
    search(model, tmp_path / "b", budget=2)
    with (tmp_path / "b").open("a") as file:
        file.write('{"op_code":4,"worker_')
    (tmp_path / "b.lock").symlink_to(tmp_path / "b")
    assert search(model, tmp_path / "b", budget=3) == whole


OTHERS = {
    "weights_sha256": lambda model: {"model": toy.trained(steps=STEPS + 1).float()},
    "images": lambda _: {"splits": parts(start=1)},
    "seed": lambda _: {"seed": 1},
    "draws": lambda _: {"draws": 3},
    "batch_size": lambda _: {"batch_size": 9},
    "precision": lambda _: {"precision": "float64"},
}


@pytest.mark.parametrize("fact", OTHERS)
def test_another_search_in_the_same_file_is_refused_before_any_trial(model, tmp_path, fact):
    search(model, tmp_path / "j")
    text = (tmp_path / "j").read_text()
    with pytest.raises(ValueError, match=f"- {fact}: expected .*, got .*\n.*choose another"):
        search(**{"model": model, "journal": tmp_path / "j", "budget": 3} | OTHERS[fact](model))
    assert (tmp_path / "j").read_text() == text


@pytest.mark.parametrize("part", ["forget", "retain", "unseen"])
def test_other_pixels_or_labels_are_another_search(model, tmp_path, part):
    search(model, tmp_path / "j", budget=1)
    (x, y), (u, v) = toy.data(), toy.data(2, 16)
    images, position = {"forget": (x, 5), "retain": (x, 6), "unseen": (u, 3)}[part]
    images[position, 0, 0, 0] += 1e-3
    other = Splits.from_ids((x, y), forget=list(range(0, 48, 5)), unseen=(u, v))
    with pytest.raises(ValueError, match="- images"):
        search(model, tmp_path / "j", other, budget=1)


def test_other_defaults_of_the_package_are_another_search(model, tmp_path, monkeypatch):
    search(model, tmp_path / "j", budget=1)
    changed = dataclasses.make_dataclass(
        "RandomLabels",
        [("momentum", float, 0.5)],
        bases=(METHODS["random-labels"],),
        frozen=True,
        kw_only=True,
    )
    monkeypatch.setitem(METHODS, "random-labels", changed)
    with pytest.raises(ValueError, match="- defaults"):
        search(model, tmp_path / "j", budget=1)


def test_trials_without_facts_are_refused(model, tmp_path):
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "j"))
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(study_name="random-labels", storage=storage)
    study.add_trial(optuna.trial.create_trial(value=0.0))
    with pytest.raises(ValueError, match="this is another"):
        search(model, tmp_path / "j")


def test_two_searches_at_once_in_one_file_are_refused(model, tmp_path):
    with (
        alone(tmp_path / "j"),
        pytest.raises(ValueError, match="expected no other search at work there"),
    ):
        search(model, tmp_path / "j")
    assert len(search(model, tmp_path / "j").trials) == 2


def test_several_processes_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="expected one process, got WORLD_SIZE=2"):
        search(model, tmp_path / "j")
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'"study_name"', b'"study_nbme"'),
        (b'"op_code"', b'"op_cpde"'),
        (b'"distributions"', b'"distribvtions"'),
        (b'"settings"', b'"sfttings"'),
        (b'"settings":{"learning_rate"', b'"settings":{"learning_rbte"'),
        (b'"state":1', b'"state":9'),
        (b"0,", b"\xff,"),
        (b"}", b"]"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(searched, tmp_path, right, wrong):
    model, text = searched
    begin, found, end = text.rpartition(right)
    assert found
    (tmp_path / "j").write_bytes(begin + wrong + end)
    with pytest.raises(ValueError, match=r"/j: expected trials .* damaged .*; remove it to begin"):
        search(model, tmp_path / "j")


@pytest.fixture(scope="module")
def searched(model, tmp_path_factory):
    """A model, and the file of a search that has ended."""
    file = tmp_path_factory.mktemp("searched") / "j"
    search(model, file)
    return model, file.read_bytes()
