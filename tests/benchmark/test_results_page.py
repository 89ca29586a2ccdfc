import html
import json
import re
import shutil
from functools import partial

import pytest
from small import grid

from lotus_unlearning.benchmark.materials import Place
from lotus_unlearning.benchmark.page import page
from lotus_unlearning.benchmark.summary import Line, Part, summarise
from lotus_unlearning.benchmark.tables import tables, without_empty_columns
from lotus_unlearning.benchmark.work import run
from lotus_unlearning.jobs.executors import InThisProcess
from lotus_unlearning.jobs.schedule import run_all
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.report import render_results

HOSTILE = "<b>lotus</b> & $1"
METHODS = ["lotus", {"method": "finetune", "label": HOSTILE, "settings": {"epochs": 1}}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Finished cells of two methods over two seeds."""
    folder = tmp_path_factory.mktemp("page")
    executor = InThisProcess(partial(run, place=Place("cpu")))
    run_all(_grid(folder).cells(), Store(folder / "r"), executor)
    return folder


def _grid(folder, **changes):
    return grid(folder, **{"methods": METHODS, **changes})


def _made(folder, parts=None, **changes):
    chosen = _grid(folder, **changes)
    found = summarise(chosen, Store(folder / "r")) if parts is None else parts
    made = [without_empty_columns(table) for table in tables(chosen, found)]
    return page(chosen, found, made), made


def test_the_page_is_json_and_holds_every_entry_of_the_table(folder):
    made, (table,) = _made(folder)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    text = html.unescape(re.sub(r"<[^>]+>", " ", render_results(made)))
    words = " ".join(text.split())
    for row in table.rows:
        for entry in row:
            for part in entry.text.replace("-", "−" if entry.estimate else "-").split(" ± "):
                assert " ".join(part.split()) in words
    for note in table.notes:
        assert note in words


def test_what_was_run_is_said_as_the_cells_recorded_it(folder):
    made, _ = _made(folder)
    said = " ".join(made["summary"])
    assert "2 methods: lotus and" in said
    assert "2 seeds" in said
    assert "3 gold models" in said
    assert "float32" in said
    run = made["run"]
    assert list(run["versions"]) == ["lotus-unlearning", "PyTorch"]
    assert sum(int(text.split()[0]) for text in run["machines"].values()) == 6
    (settings,) = run["settings of methods"].values()
    assert settings[f"{HOSTILE} (authors)"].startswith("Finetune: epochs 1, ")


def test_names_from_a_yaml_file_are_escaped(folder):
    text = render_results(_made(folder)[0])
    assert "<b>lotus</b>" not in text
    assert "&lt;b&gt;lotus&lt;/b&gt; &amp; $1" in text


def test_methods_have_intervals_of_measures_that_have_seeds(folder):
    section = _made(folder)[0]["sections"][0]
    labels = [chart["label"] for chart in section["intervals"]]
    assert labels[:2] == ["Avg gap", "JSD ×10³"]
    assert not any("published" in label for label in labels)
    rows = section["intervals"][0]["rows"]
    assert [row["kind"] for row in rows] == ["original", "gold", "method", "method"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    assert section["epochs"] == section["entropies"] == []


def test_keeping_is_measured_from_gold(folder):
    section = _made(folder)[0]["sections"][0]
    clouds = section["scatters"]
    kept = ["test accuracy minus gold's, points", "retain accuracy minus gold's, points"]
    assert [cloud["x"]["label"] for cloud in clouds] == kept
    for cloud in clouds:
        gold = next(point for point in cloud["points"] if point["kind"] == "gold")
        assert gold["x"] == 0


def test_one_seed_has_means_without_intervals(folder):
    made, _ = _made(folder, seeds=1)
    rows = made["sections"][0]["intervals"][0]["rows"]
    assert all(row["low"] is None and row["value"] is not None for row in rows)
    render_results(made)


def test_epochs_hold_what_lotus_logged_for_each_seed(folder):
    (lotus,) = _made(folder, shows="epochs")[0]["sections"][0]["epochs"]
    assert lotus["label"] == "lotus"
    assert len(lotus["runs"]) == 2
    assert {"tau", "forget_accuracy", "unseen_accuracy"} <= lotus["runs"][0][0].keys()


def test_entropies_are_added_up_over_seeds_and_golds(folder):
    made, _ = _made(folder, shows="entropies")
    panels = {panel["label"]: panel for panel in made["sections"][0]["entropies"]}
    assert list(panels) == ["original", "gold", "lotus", HOSTILE]
    images = sum(panels["lotus"]["forget"])
    assert sum(panels["original"]["forget"]) == images
    assert sum(panels["gold"]["forget"]) == 3 * images
    assert 0 <= panels["lotus"]["distance"] <= 1
    render_results(made)


def _line(name, number, seeds=2):
    measures = {"js_divergence": 0.01 * number, "rf_js_divergence": 0.02 * number + 0.001}
    values = {m: {(seed, seed): v for seed in range(seeds)} for m, v in measures.items()}
    settings = () if name in ("original", "gold") else ("authors",)
    return Line(name, name, settings, values)


def test_correlations_are_drawn_for_each_block_and_settings(folder):
    methods = ["lotus", "finetune", "ssd", "scrub"]
    chosen = _grid(folder, shows="correlation", methods=methods)
    lines = [_line(name, i + 1) for i, name in enumerate(["original", "gold", *methods])]
    images = {"forget": 1, "retain": 9}
    parts = [Part(section, lines, (2, 2), images) for section in chosen.sections()]
    made, _ = _made(folder, parts, shows="correlation", methods=methods)
    (section,) = made["sections"]
    (cloud,) = section["scatters"]
    assert cloud["caption"] == "r = 1.00"
    assert [point["kind"] for point in cloud["points"]] == ["gold"] + ["method"] * 4
    assert section["table"]["rows"][0]["settings"] == "authors"
    assert "Does RF-JSD order methods" in render_results(made)


def test_too_few_methods_have_no_correlation_and_still_a_page(folder):
    made, _ = _made(folder, shows="correlation")
    assert made["sections"] == []
    assert "nothing to show" in render_results(made)


def test_a_method_that_failed_is_marked_in_its_row(folder):
    chosen = _grid(folder)
    parts = summarise(chosen, Store(folder / "r"))
    lotus = next(line for line in parts[0].lines if line.name == "lotus")
    lotus.values.clear()
    lotus.failed.append("ValueError: no gradient")
    made, _ = _made(folder, parts)
    row = made["sections"][0]["intervals"][0]["rows"][2]
    assert (row["value"], row["failed"]) == (None, True)
    text = render_results(made)
    assert "no gradient" in text
    assert "lotus (authors) failed" in text


def test_what_is_not_finished_is_not_on_the_page(folder, tmp_path):
    made, _ = _made(tmp_path)
    assert made["sections"] == []
    assert "machines" not in made["run"]


def test_cells_measured_against_models_that_were_made_again_are_marked(folder, tmp_path):
    copy = Store(shutil.copytree(folder / "r", tmp_path / "r"))
    assert "made again" not in " ".join(_made(folder, summarise(_grid(folder), copy))[0]["summary"])
    cell = next((tmp_path / "r" / "cells").glob("unlearning-*.json"))
    record = json.loads(cell.read_text("utf-8"))
    cell.write_text(json.dumps({**record, "against": ["other bits"]}), encoding="utf-8")
    parts = summarise(_grid(folder), copy)
    made, _ = _made(folder, parts)
    said = " ".join(made["summary"])
    assert "1 of 4 cells of methods were measured against an original and golds that were" in said
    (table,) = tables(_grid(folder), parts)
    assert [row[0].text.endswith(" †") for row in table.rows].count(True) == 1
    assert any(note.startswith("†: 1 cell measured against") for note in table.notes)
