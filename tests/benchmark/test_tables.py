"""Tables beside the paper's: the same units, the same settings, and what their ± means."""

import csv
import dataclasses

import pytest
from small import grid

from lotus_unlearning.benchmark.published import Published
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.benchmark.render import as_csv, as_markdown, as_text
from lotus_unlearning.benchmark.summary import Line, Part
from lotus_unlearning.benchmark.tables import tables, without_empty_columns

METHODS = ["lotus", "finetune", "ssd", "scrub", "neg-grad-plus"]


def made(chosen, **values):
    """Tables of a grid whose methods have these values, each a little more than the one before."""
    parts = []
    for section in chosen.sections():
        known = [Line("original", "original"), Line("gold", "gold")]
        known += [Line(row.name, row.label, row.settings) for row in section.rows()]
        for i, line in enumerate(known):
            line.values = {m: {(0, 0): v + 0.01 * i} for m, v in values.items()}
        parts.append(Part(section, known, (1, 1), {"forget": 1, "retain": 9}))
    return [without_empty_columns(table) for table in tables(chosen, parts)]


def row_of(table, label, settings="paper"):
    texts = [[entry.text for entry in row] for row in table.rows]
    return next(row for row in texts if row[0] == label and settings in row[1])


def test_printed_fractions_stand_in_percent_beside_our_percents():
    (table,) = made(read_grid("table4"), retain_accuracy=0.9, entropy_attack=0.7)
    at = table.heads.index("Retain acc. %")
    assert row_of(table, "finetune")[at + 1] == "97 ± 0"
    at = table.heads.index("Entropy attack %")
    assert row_of(table, "bad-teacher")[at + 1] == "52 ± 18"


def test_printed_values_in_the_units_of_their_column_stay_as_they_are():
    (table,) = made(read_grid("table4"), rf_jsd_as_published=1e-4, seconds=60.0)
    assert row_of(table, "lotus")[3] == "1.11 ± 0.01"
    assert row_of(table, "lotus")[table.heads.index("Seconds") + 1] == "10.72 ± 0.01 min"
    gap = Published(0.0175, None, "")
    assert str(gap.scaled(1)) == str(gap) == "0.0175"


def test_what_the_printed_spread_is_is_said_once_and_only_where_there_is_one(tmp_path):
    (table,) = made(read_grid("table4"), retain_accuracy=0.9, entropy_attack=0.7)
    assert as_text(table).count("standard deviation over three seeds") == 1
    (table,) = made(grid(tmp_path), forget_accuracy=0.9)
    assert "standard deviation" not in as_text(table)


def correlated(*settings):
    changes = {"blocks": ["cifar-10"], "methods": METHODS, "settings": list(settings)}
    chosen = read_grid("table7", {**changes, "scenarios": [{"kind": "random", "fraction": 0.1}]})
    return made(chosen, js_divergence=0.2, rf_js_divergence=0.1)[0]


def test_the_printed_correlation_stands_beside_the_papers_settings_alone():
    table = correlated("paper", "authors")
    at = table.heads.index("printed r")
    assert {row[2].text: row[at].text for row in table.rows} == {"paper": "0.9", "authors": "–"}
    assert "printed r" not in correlated("authors").heads


def test_a_grid_of_ones_own_has_no_printed_correlation():
    own = dataclasses.replace(read_grid("table7", {"blocks": ["cifar-10"]}), published=None)
    assert "printed r" not in made(own, js_divergence=0.2, rf_js_divergence=0.1)[0].heads


def test_the_csv_of_correlations_names_rows_by_data_model_and_settings_and_has_numbers():
    rows = list(csv.DictReader(as_csv([correlated("paper")]).splitlines()))
    assert list(rows[0])[:5] == ["block", "data", "model", "settings", "measure"]
    names = ("data", "model", "settings")
    assert {tuple(row[n] for n in names) for row in rows} == {
        ("cifar-10, random 10%", "resnet18", "paper")
    }
    found = {row["measure"]: row for row in rows}
    pearson = found["Pearson"]
    assert float(pearson["low"]) <= float(pearson["value"]) <= float(pearson["high"])
    assert float(pearson["value"]) == pytest.approx(1.0)
    assert float(found["Methods"]["value"]) == len(METHODS)
    assert float(found["printed r"]["value"]) == 0.9
    assert float(found["Rank of gold's RF-JSD"]["value"]) == 1
    left = found["Leaving one out"]
    assert float(left["low"]) == pytest.approx(float(left["high"])) == pytest.approx(1.0)


def test_closes_that_too_few_golds_leave_out_has_a_note(tmp_path):
    changes = {"measures": ["closes", "js_divergence"]}
    (few,) = made(grid(tmp_path, golds=2, **changes), js_divergence=0.1)
    assert "Closes %" not in few.heads
    assert "it needs 3 or more gold models for each choice of images (--golds), got 2." in " ".join(
        few.notes
    )
    (enough,) = made(grid(tmp_path, golds=3, **changes), js_divergence=0.1)
    assert "it needs 3" not in " ".join(enough.notes)


def test_columns_that_name_rows_stay_in_the_csv_when_no_method_is_finished(tmp_path):
    chosen = grid(tmp_path, methods=["lotus"])
    (section,) = chosen.sections()
    original = Line("original", "original", values={"js_divergence": {(0, 0): 0.1}})
    part = Part(section, [original], (1, 1), {"forget": 1, "retain": 9})
    table = without_empty_columns(tables(chosen, [part])[0])
    assert as_csv([table]).splitlines()[0].startswith("block,scenario,method,settings,measure,mean")


def test_correlations_of_a_class_are_called_so():
    changes = {"blocks": ["cifar-10"], "methods": METHODS, "settings": ["authors"]}
    chosen = read_grid("table7", {**changes, "scenarios": [{"kind": "class"}]})
    (table,) = made(chosen, js_divergence=0.2, rf_js_divergence=0.1)
    assert {row[0].text for row in table.rows} == {"cifar-10, class"}


def test_rows_of_the_csv_say_what_is_forgotten(tmp_path):
    chosen = grid(tmp_path, scenarios=[{"fraction": 0.1}, {"fraction": 0.5}, {"kind": "class"}])
    rows = csv.DictReader(as_csv(made(chosen, js_divergence=0.2)).splitlines())
    assert [*dict.fromkeys(row["scenario"] for row in rows)] == [
        "random 10%",
        "random 50%",
        "class",
    ]


def test_a_terminal_explains_its_own_marks(tmp_path):
    (table,) = made(grid(tmp_path), js_divergence=0.2)
    assert "\n*: best mean." in as_text(table)
    assert "Bold: best mean." in as_markdown(table)


def crossed(tmp_path, p_values):
    """Two choices of images with three originals each, of which some are told from golds."""
    seeds = {"split": 2, "training": 3}
    chosen = grid(tmp_path, seeds=seeds, measures=["closes", "js_divergence"])
    (section,) = chosen.sections()
    at = [(split, training) for split in range(2) for training in range(3)]
    original = Line("original", "original", records={key: {} for key in at})
    names = ("js_divergence", "distance_original", "distance_gold")
    original.values = {name: dict.fromkeys(at, 0.1) for name in names}
    original.values["p_something_to_close"] = dict(zip(at, p_values, strict=True))
    part = Part(section, [original], (6, 6), {"forget": 1, "retain": 9})
    (table,) = tables(chosen, [part])
    return table.title, " ".join(table.notes)


def test_originals_that_share_a_choice_are_not_counted_as_choices(tmp_path):
    title, notes = crossed(tmp_path, [0.05] * 6)
    assert title.endswith("2 choices of images, 6 models")
    assert "95% interval over 2 choices of images, the mean of 3 models for each" in notes
    assert "for 6 of 6 originals" in notes
    assert "p = 0.01 (Stouffer)" in notes, "two tests of 0.05, not six"


def test_one_gold_is_not_called_a_spread(tmp_path):
    (table,) = made(grid(tmp_path, golds=1), js_divergence=0.2)
    assert "gold: one model for each seed" in " ".join(table.notes)
