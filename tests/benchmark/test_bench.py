"""The whole of ``lotus bench``: run, be killed, go on, make the tables again."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from small import YAML
from test_elpv import elpv
from test_mufac import mufac

from lotus_unlearning.cli import main
from lotus_unlearning.jobs.executors import InThisProcess


def command(*words):
    return [sys.executable, "-m", "lotus_unlearning", "bench", *map(str, words)]


def records(folder):
    return {p.name: p.read_bytes() for p in sorted((folder / "cells").glob("*.json"))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was killed in the middle and started again."""
    place = tmp_path_factory.mktemp("bench")
    (place / "small.yaml").write_text(YAML)
    out = place / "results"
    words = command(place / "small.yaml", "--out", out, "--device", "cpu")
    process = subprocess.Popen(words, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    for _ in range(600):
        if out.is_dir() and len(list((out / "cells").glob("*.json"))) >= 4:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = records(out)
    assert 4 <= len(before) < 14
    second = subprocess.run(words, cwd=place, capture_output=True, text=True, check=True)
    return place, out, before, second


def test_a_killed_run_goes_on_where_it_stopped(finished):
    _, out, before, second = finished
    after = records(out)
    assert len(after) == 14
    assert all(after[name] == contents for name, contents in before.items())
    assert second.stderr.count(" done, ") == 14 - len(before)
    assert "14 of 14 done, 0 at work, 0 left" in second.stderr


def test_the_tables_are_printed_and_written(finished):
    _, out, _, second = finished
    assert "Two methods: few-digits (resnet-thin), random images, 20 of 200 images" in second.stdout
    markdown = (out / "tables" / "small.md").read_text()
    assert "| lotus" in markdown
    assert "| gold" in markdown
    latex = (out / "tables" / "small.tex").read_text()
    assert latex.count(r"\begin{tabular}") == 1
    assert r"$\pm$" in latex
    rows = list(csv.DictReader((out / "tables" / "small.csv").read_text().splitlines()))
    mine = next(r for r in rows if r["method"] == "lotus" and r["measure"] == "forget_accuracy")
    assert float(mine["low"]) <= float(mine["mean"]) <= float(mine["high"])


def test_tables_come_again_byte_for_byte_from_the_cells_alone(finished, tmp_path):
    place, out, _, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(out / "cells", copy / "cells")
    subprocess.run(
        command(place / "small.yaml", "--out", copy, "--show"), check=True, capture_output=True
    )
    for ending in ("md", "tex", "csv", "html"):
        name = f"small.{ending}"
        assert (copy / "tables" / name).read_bytes() == (out / "tables" / name).read_bytes()


def test_a_finished_run_runs_nothing(finished, capsys):
    place, out, _, _ = finished
    before = records(out)
    assert main(["bench", str(place / "small.yaml"), "--out", str(out)]) == 0
    assert " done, " not in capsys.readouterr().err
    assert records(out) == before


def test_two_runs_on_one_folder_at_once_share_its_cells(finished, tmp_path):
    place, alone, _, _ = finished
    less = ("--methods", "finetune", "--seeds", "1", "--golds", "2")
    words = command(place / "small.yaml", *less, "--out", tmp_path / "r", "--device", "cpu")
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [line for run in both for line in run.communicate()[1].splitlines()]
    assert [run.returncode for run in both] == [0, 0]
    made, before = records(tmp_path / "r"), records(alone)
    assert len(made) == sum(" done, " in line for line in lines) == 5
    models = [name for name in made if "weights_sha256" in json.loads(made[name])]
    assert len(models) == 3
    for name in models:
        one, other = (json.loads(cells[name])["weights_sha256"] for cells in (made, before))
        assert one == other
    assert (tmp_path / "r" / "tables" / "small-finetune-2-golds-1-seeds.html").exists()


def test_a_dry_run_lists_what_is_left_with_its_time_and_runs_nothing(finished, capsys):
    place, out, _, _ = finished
    words = ["bench", str(place / "small.yaml"), "--out", str(out), "--seeds", "3", "--dry_run"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "7 cells to run of 21" in said
    assert "LoTUS forgets random 10% (seed 2), original 2, digits" in said
    assert len(records(out)) == 14


def test_a_dry_run_without_anything_finished_counts_the_work(tmp_path, capsys):
    (tmp_path / "small.yaml").write_text(YAML)
    words = ["bench", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "r"), "--dry_run"]
    assert main(words) == 0
    assert "14 cells to run of 14, about" in capsys.readouterr().out
    assert not (tmp_path / "r").exists()


def test_a_failed_cell_is_listed_and_the_exit_code_says_so(finished, tmp_path, capsys):
    _, out, _, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    variant = {"method": "gradient-ascent", "label": "ruin", "settings": {"learning_rate": 1e30}}
    text = YAML.replace("[lotus, finetune]", f"[lotus, finetune, {json.dumps(variant)}]")
    (tmp_path / "ruin.yaml").write_text(text)
    words = ["bench", str(tmp_path / "ruin.yaml"), "--out", str(copy), "--device", "cpu"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "failed: GradientAscent forgets random 10% (seed 0)" in said.err
    assert "the given model is unchanged" in said.err
    assert "ruin (authors): failed for 2 of 2 seeds" in said.out
    assert "lotus" in said.out
    for again in (words, [*words, "--show"]):
        assert main(again) == 1  # it is not run again, and still said
        told = capsys.readouterr().err
        assert " done, " not in told
        assert "failed: GradientAscent forgets random 10% (seed 1)" in told


MISSING = """
title: "Data to come"
blocks:
  - name: cells
    data: {name: elpv, limit: 40, size: 8}
    model: resnet-thin
    recipe: {epochs: 1}
  - name: faces
    data: {name: mufac, limit: 40, size: 8}
    model: resnet-thin
    recipe: {epochs: 1}
methods: [finetune]
seeds: 1
golds: 1
"""


def test_data_that_were_missing_can_be_put_there_later(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lotus_unlearning.datasets.elpv.find_spec", lambda _: None)
    (tmp_path / "grid.yaml").write_text(MISSING)
    root, out = tmp_path / "data", tmp_path / "r"
    words = ["bench", str(tmp_path / "grid.yaml"), "--out", str(out), "--root", str(root)]
    assert main([*words, "--device", "cuda:99"]) == 1
    said = capsys.readouterr().err
    assert 'got "cuda:99"' in said
    assert "elpv: expected the data set in" in said
    assert "mufac: expected the data set in" in said
    assert not list(out.rglob("*.json"))
    elpv(root)
    mufac(root / "custom_korean_family_dataset_resolution_128")
    assert main([*words, "--device", "cpu"]) == 0
    assert len(records(out)) == 8


def test_records_hold_what_a_reader_needs(finished):
    _, out, _, _ = finished
    for name, contents in records(out).items():
        record = json.loads(contents)
        assert record["key"] == name.removesuffix(".json")
        assert record["on"]["torch"]
        assert record["on"]["precision"] == "float32"
        if name.startswith("unlearning"):
            assert record["images"] == {"forget": 20, "retain": 180, "unseen": 50, "test": 300}
            assert record["history"]
            assert record["method"]["settings"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "table2"),
        (["--settings", "paper", "--measures", "closes"], "table2-paper-closes"),
        (["--blocks", "digits"], "table2-digits"),
        (["--blocks", "digits", "cifar-10", "--seeds", "5"], "table2-digits-cifar-10-5-seeds"),
        (["--seeds", "3", "--golds", "2", "--methods", "lotus"], "table2-lotus-2-golds-3-seeds"),
        (["--pretrained", "false"], "table2-not-pretrained"),
    ],
)
def test_tables_of_other_blocks_have_files_of_their_own(words, name, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "lotus_unlearning.cli.bench._write", lambda grid, store, base: written.append(base)
    )
    assert main(["bench", "table2", "--out", str(tmp_path), "--show", *words]) == 0
    assert written == [tmp_path / "tables" / name]


def test_names_of_files_are_short_and_of_letters_that_any_disk_takes():
    from lotus_unlearning.cli.bench import _file_name

    def named(*methods):
        entries = dict.fromkeys(("blocks", "settings", "measures", "seeds", "golds", "pretrained"))
        return _file_name(None, SimpleNamespace(grid="a/lab.yaml", methods=methods, **entries))

    assert named("alpha 1/2", "python:mine:Mine") == "lab-alpha 1.2-python.mine.Mine"
    long = [named(*["a" * 40] * 9, last) for last in "bc"]
    assert long[0] != long[1]
    odd = [named("Größe"), named("Gr??e")]
    assert odd[0] != odd[1]
    assert all(name.isascii() and len(name) < 250 for name in [*long, *odd])


def test_a_cluster_is_told_what_a_cell_needs(tmp_path, monkeypatch, capsys):
    asked = {}

    class Cluster(InThisProcess):
        def __init__(self, address, work, **needs):
            asked.update(needs, address=address)
            super().__init__(work)

    monkeypatch.setattr("lotus_unlearning.cli.bench.OnRay", Cluster)
    (tmp_path / "small.yaml").write_text(YAML.replace("seeds: 2", "seeds: 1"))
    words = ["bench", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "r"), "--golds", "0"]
    more = ["--ray", "10.0.0.1:6379", "--cpus", "4", "--gpus", "0.5", "--device", "cpu"]
    assert main([*words, *more, "--methods", "lotus"]) == 0
    assert asked == {"address": "10.0.0.1:6379", "cpus": 4.0, "gpus": 0.5, "called": "cell"}
    assert "3 of 3 done" in capsys.readouterr().err


def test_models_that_are_not_trained_cannot_start_from_scratch(capsys):
    assert main(["bench", "table4", "--pretrained", "false", "--dry_run"]) == 1
    assert "pretrained: expected true for imagenet1k" in capsys.readouterr().err


def test_hard_images_and_a_class_can_be_forgotten(tmp_path, capsys):
    scenarios = "[{kind: memorised}, {kind: near-duplicates}, {kind: class}]"
    text = YAML.replace("seeds: 2", "seeds: 1").replace(
        "golds: 3", f"golds: 1\nscenarios: {scenarios}"
    )
    (tmp_path / "hard.yaml").write_text(text.replace("[lotus, finetune]", "[lotus]"))
    words = ["bench", str(tmp_path / "hard.yaml"), "--out", str(tmp_path / "r"), "--device", "cpu"]
    assert main(words) == 0
    said = capsys.readouterr().out
    for scenario in ("the most memorised images", "near-duplicates of retained images", "a class"):
        assert scenario in said
