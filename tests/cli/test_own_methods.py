"""``python:MODULE:CLASS``: a method of the user's own, wherever a method has a name."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from few_digits import IDS, SMALL
from small import YAML

from lotus_unlearning import runs
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.cli import main

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"
MINE = re.search(r"(?s)```python\n(.*?class Climb.*?)```", GUIDE.read_text(encoding="utf-8"))[1]
LACKING = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass
class Nothing:
    rate: float

class Plain:
    def __call__(self, model, data, run): ...

@dataclass(frozen=True)
class Test:
    reads: ClassVar[frozenset[str]] = frozenset({"test"})
    searches: ClassVar[dict[str, str]] = {"absent": "tenfold"}
    def __call__(self, model, data, run): ...

@dataclass(frozen=True)
class Unsearched:
    reads: ClassVar[frozenset[str]] = frozenset({"forget"})
    rate: float = 0.1
    def __call__(self, model, data, run): ...
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with a module of one's own, and a name for the module that no test used before."""
    monkeypatch.chdir(tmp_path)
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def test_a_run_with_ones_own_method_names_its_file_and_is_made_again(mine, unlearn, tmp_path):
    named = f"python:{mine}:Climb"
    status, first = unlearn("--method", named, "--method.learning_rate", "0.01", out="first")
    assert status == 0
    manifest = runs.read(first).manifest
    assert manifest["method"]["name"] == "Climb"
    assert manifest["method"]["settings"] == {"learning_rate": 0.01, "epochs": 1}
    assert manifest["method"]["code"]["module"] == mine
    assert len(manifest["method"]["code"]["sha256"]) == 64
    assert manifest["method"]["citation"] == ""
    assert yaml.safe_load((first / "config.yaml").read_text())["method"]["name"] == named
    config = ["--config", str(first / "config.yaml"), "--out", str(tmp_path / "again")]
    assert main(["unlearn", *config]) == 0
    again = runs.read(tmp_path / "again").manifest
    assert again["weights_sha256"] == manifest["weights_sha256"]
    assert again["weights_sha256"] != again["weights_sha256_before"]


def test_a_wrong_setting_of_it_is_named(mine, unlearn, capsys):
    assert unlearn("--method", f"python:{mine}:Climb", "--method.learning", "1")[0] != 0
    assert "did you mean '--method.learning_rate'" in capsys.readouterr().err


def test_the_benchmark_compares_it_and_its_variants(mine, tmp_path, capsys):
    longer = {"method": f"python:{mine}:Climb", "label": "longer", "settings": {"epochs": 2}}
    methods = ["finetune", f"python:{mine}:Climb", longer]
    changes = {"methods": methods, "settings": ["paper"], "seeds": 1}
    (tmp_path / "own.yaml").write_text(json.dumps({**yaml.safe_load(YAML), **changes}))
    words = ["bench", "own.yaml", "--out", "out", "--device", "cpu"]
    assert main([*words, "--dry_run"]) == 0
    assert capsys.readouterr().out.count("Climb forgets") == 2
    assert main(words) == 0
    rows = (tmp_path / "out/tables/own.csv").read_text().splitlines()
    assert sum("Climb,authors" in row for row in rows) > 0
    assert sum("longer,authors" in row for row in rows) > 0
    assert sum("finetune,paper" in row for row in rows) > 0


def test_a_changed_file_is_another_cell(mine, tmp_path):
    (tmp_path / "own.yaml").write_text(YAML)

    def keys():
        grid = read_grid("own.yaml", {"methods": [f"python:{mine}:Climb", "finetune"], "seeds": 1})
        return {type(c.method).__name__: c.key for c in grid.cells() if hasattr(c, "method")}

    before = keys()
    (tmp_path / f"{mine}.py").write_text(MINE + "# another line\n")
    assert keys() == before  # what is loaded is what runs
    del sys.modules[mine]
    after = keys()
    assert after["Finetune"] == before["Finetune"]
    assert after["Climb"] != before["Climb"]


def test_a_search_asks_the_class_what_is_searched(mine, tmp_path):
    words = ["tune", f"python:{mine}:Climb", "--data", "digits", *SMALL, "--budget", "2"]
    assert main([*words, "--draws", "1", "--device", "cpu"]) == 0
    (found,) = yaml.safe_load((tmp_path / "runs/tune-Climb/tuned.yaml").read_text()).items()
    assert found[0] == f"python:{mine}:Climb"
    assert list(found[1]["search"]["space"]) == ["learning_rate", "epochs"]
    assert found[1]["search"]["trials"] == 2


def test_a_served_model_may_forget_by_it(mine, trained, tmp_path):
    place = ["--workspace", str(tmp_path / "work")]
    model = ["--model", str(trained / "original"), "--method", f"python:{mine}:Climb"]
    assert main(["request", "init", *place, *model]) == 0
    assert main(["request", "add", *place, "--ids", *map(str, IDS[:2])]) == 0
    assert main(["request", "run", *place]) == 0
    (run,) = (p for p in (tmp_path / "work/runs").iterdir() if (p / "history.jsonl").is_file())
    assert runs.read(run).manifest["method"]["code"]["module"] == mine


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nothing", "frozen (@dataclass(frozen=True))"),
        ("Nothing", "made without arguments: give rate a default"),
        ("Nothing", "got None; callable: give it __call__(self, model, data, run)"),
        ("Plain", "a dataclass whose fields are its settings, got the class Plain"),
        ("Test", "of forget, retain, unseen; got frozenset({'test'})"),
        ("Absent", "expected a function or class 'Absent'"),
    ],
)
def test_what_a_class_lacks_to_be_a_method_is_said_at_once(
    mine, tmp_path, unlearn, capsys, name, message
):
    (tmp_path / f"{mine}.py").write_text(LACKING)
    status, out = unlearn("--method", f"python:{mine}:{name}")
    assert status == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", ["Unsearched", "Test"])
def test_a_class_that_does_not_say_what_is_searched_is_not_searched(mine, tmp_path, capsys, name):
    text = LACKING.replace('frozenset({"test"})', 'frozenset({"forget"})')
    (tmp_path / f"{mine}.py").write_text(text)
    assert main(["tune", f"python:{mine}:{name}", "--data", "digits", *SMALL]) == 1
    assert "which of its settings are searched" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_module_that_fails_says_where(mine, tmp_path, unlearn, capsys):
    (tmp_path / f"{mine}.py").write_text("x = 1\nundefined\n")
    assert unlearn("--method", f"python:{mine}:Climb")[0] == 1
    error = capsys.readouterr().err
    assert "undefined" in error
    assert f"{mine}.py, line 2" in error
    assert "Traceback" not in error
