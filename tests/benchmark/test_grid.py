import json

import pytest
from small import BLOCK, grid

from lotus_unlearning import LoTUS
from lotus_unlearning.benchmark.blocks import BLOCKS
from lotus_unlearning.benchmark.cells import Gold, Original
from lotus_unlearning.benchmark.grid import Seeds, with_pretrained
from lotus_unlearning.benchmark.read import grids, read_grid
from lotus_unlearning.jobs.schedule import order


def test_every_grid_of_the_package_can_be_read_and_expanded():
    assert list(grids())[-7:-5] == ["table1", "table2"]
    for name in grids():
        cells = list(read_grid(name, {"seeds": 1}).cells())
        assert cells, name
        assert all(cell.key for cell in order(cells))


def test_the_tables_of_the_issue_are_there():
    wanted = {1, 2, 3, 4, 7, 9, 10}
    assert {f"table{n}" for n in wanted} | {"figure2", "streisand"} <= grids().keys()


def test_cells_of_one_draw_share_their_original_and_golds(tmp_path):
    cells = order(grid(tmp_path).cells())
    assert sum(isinstance(cell, Original) for cell in cells) == 2
    assert sum(isinstance(cell, Gold) for cell in cells) == 2 * 3
    assert len(cells) == len({cell.key for cell in cells}) == 2 * (1 + 3 + 1 + 2)


def test_crossed_seeds_share_the_golds_of_a_choice_of_images(tmp_path):
    crossed = grid(tmp_path, seeds={"split": 2, "training": 3})
    cells = order(crossed.cells())
    assert sum(isinstance(cell, Gold) for cell in cells) == 2 * 3
    assert sum(isinstance(cell, Original) for cell in cells) == 3
    assert list(Seeds(split=2).pairs()) == [(0, 0), (1, 1)]


def test_a_number_of_seeds_leaves_the_originals_of_each_choice_as_the_file_has_them():
    assert read_grid("originals").seeds == Seeds(split=5, training=3)
    assert read_grid("originals", {"seeds": 2}).seeds == Seeds(split=2, training=3)
    assert read_grid("table1", {"seeds": 2}).seeds == Seeds(split=2)


@pytest.mark.parametrize("seeds", [3, {"split": 2, "training": 3}])
def test_a_choice_that_no_seed_draws_is_made_once_with_its_golds(tmp_path, seeds):
    block = {**BLOCK, "label": "8"}
    changes = {"blocks": [block], "scenarios": [{"kind": "class"}], "seeds": seeds}
    fixed = grid(tmp_path, **changes)
    (section,) = fixed.sections()
    assert not section.choices_differ
    assert [(draw.split, draw.training) for draw in section.draws()] == [(0, 0), (1, 1), (2, 2)]
    cells = order(fixed.cells())
    assert sum(isinstance(cell, Gold) for cell in cells) == 3  # as many as golds are asked for
    assert sum(isinstance(cell, Original) for cell in cells) == 3
    (section,) = grid(tmp_path, **{**changes, "scenarios": [{"kind": "official"}]}).sections()
    assert not section.choices_differ
    assert len({draw.reference.forget for draw in section.draws()}) == 1


def test_choices_that_seeds_or_originals_make_differ(tmp_path):
    for kind in ("random", "class", "group"):
        (section,) = grid(tmp_path, scenarios=[{"kind": kind}], seeds=3).sections()
        assert section.choices_differ
        assert [draw.reference.forget.seed for draw in section.draws()] == [0, 1, 2]
    crossed = {"split": 2, "training": 3}
    (section,) = grid(tmp_path, scenarios=[{"kind": "memorised"}], seeds=crossed).sections()
    assert section.choices_differ
    choices = [draw.reference.forget for draw in section.draws()]
    assert [choice.ranked_by.seed for choice in choices] == [0, 1, 2]  # each original once


def test_models_can_start_from_scratch_and_then_no_printed_value_stands_beside_them():
    table = read_grid("table2")
    scratch = with_pretrained(table, False)
    assert not any(block.setup.pretrained for block in scratch.blocks.values())
    assert scratch.blocks["cifar-10"] == table.blocks["cifar-10"]
    assert table.blocks["cifar-10-vit"].published is not None
    assert scratch.blocks["cifar-10-vit"].published is None
    assert next(scratch.cells()).key != next(table.cells()).key
    assert all(block.setup.pretrained for block in with_pretrained(table, True).blocks.values())
    with pytest.raises(ValueError, match="pretrained: expected true for imagenet1k"):
        with_pretrained(read_grid("table4"), False)


def test_settings_that_agree_make_one_row(tmp_path):
    rows = next(grid(tmp_path, settings=["authors", "paper"]).sections()).rows()
    lotus = [row for row in rows if row.name == "lotus"]
    assert len({row.method for row in lotus}) == len(lotus)
    assert {s for row in lotus for s in row.settings} == {"authors", "paper"}


def test_a_variant_changes_its_settings_alone(tmp_path):
    variant = {"method": "lotus", "label": "cooler", "settings": {"alpha": 3.0}}
    (row,) = next(grid(tmp_path, methods=[variant]).sections()).rows()
    assert (row.label, row.method) == ("cooler", LoTUS(alpha=3.0))


def test_lotus_forgets_a_class_with_its_settings_for_classes(tmp_path):
    changes = {"scenarios": [{"kind": "class"}], "methods": ["lotus"]}
    (row,) = next(grid(tmp_path, **changes).sections()).rows()
    assert row.method.target_accuracy == 0.0
    assert row.method.alpha == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": ["digit"]}, "did you mean 'digits'"),
        ({"blocks": []}, "blocks: expected at least one"),
        ({"methods": []}, "methods: expected at least one"),
        ({"blocks": ["digits", "digits"]}, "expected each name once, got digits"),
        ({"blocks": [BLOCK, {**BLOCK, "model": "resnet18"}]}, "once, got few-digits"),
        ({"methods": ["lotus", {"method": "ssd", "label": "lotus"}]}, "once, got lotus"),
        ({"scenarios": [{"kind": "random"}, {"fraction": 0.1}]}, "once, got random 10%"),
        (
            {"blocks": [{**BLOCK, "data": {"name": "digits", "limit": 0}}]},
            "limit: expected at least",
        ),
        ({"scenarios": [{"kind": "class"}, {"kind": "class", "fraction": 0.5}]}, "once, got class"),
        ({"blocks": [{**BLOCK, "batch_size": -1}]}, "batch_size: expected at least 1, got -1"),
        ({"seeds": {"split": 0}}, "^bench: [^<]*: seeds: expected 1 to 1,000 of each"),
        (
            {"methods": [{"method": "lotus"}]},
            "methods: the following arguments are required: label",
        ),
        ({"seeds": "many"}, "seeds: expected int or a mapping of settings, got many"),
        (
            {"blocks": [{**BLOCK, "data": {"name": "digits", "limit": "many"}}]},
            "limit: expected int or null, got many",
        ),
        ({"published": 1}, "published: expected str or null, got 1"),
        ({"measures": ["closes", "closes"]}, "once, got closes"),
        ({"scenario": []}, "got scenario; did you mean 'scenarios'"),
        ({"settings": ["author"]}, "settings: expected one of paper, authors, tuned; got 'author'"),
        ({"scenarios": [{"kind": "clas"}]}, r"scenarios\.kind: expected one of random.*'class'"),
        ({"golds": "many"}, "golds: expected int, got many"),
        ({"methods": ["lotos"]}, "got 'lotos'"),
        ({"settings": ["papers"]}, "papers"),
        ({"measures": ["accuracy"]}, "got accuracy"),
        ({"seeds": 0}, "expected 1 to 1,000 of each"),
        ({"sedes": 3}, "sedes"),
        ({"methods": [{"method": "lotus", "label": "x", "settings": {"alfa": 1}}]}, "alfa"),
        ({"methods": [{"method": "lotus", "label": "x", "settings": {"alpha": -1}}]}, "alpha >= 0"),
        ({"scenarios": [{"kind": "clas"}]}, "clas"),
        ({"scenarios": [{"fraction": 1.5}]}, "fraction: expected a share between 0 and 1, got 1.5"),
        ({"scenarios": [{"kind": "group", "fraction": 0}]}, "fraction: expected a share"),
        ({"blocks": [{**BLOCK, "paper": "lotus-tables-resnet81"}]}, "mean 'lotus-tables-resnet18'"),
        ({"blocks": [{**BLOCK, "tuned": "tuned-digitz"}]}, "few-digits: tuned: .*'tuned-digits'"),
        ({"published": "77"}, r"\(1, 2, 3, 4, 7, 9, 10\) or null, got '77'; did you mean '7'"),
    ],
)
def test_a_wrong_entry_of_a_grid_is_named_before_anything_runs(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        grid(tmp_path, **changes)


def test_all_unknown_names_of_a_grid_are_named_at_once(tmp_path):
    wrong = {"published": "77", "measures": ["speed"], "blocks": [{**BLOCK, "paper": "x"}]}
    with pytest.raises(ValueError, match=r"measures: .*\npublished: .*\nblocks: few-digits: paper"):
        grid(tmp_path, **wrong)


def test_a_file_that_is_no_grid_is_refused(tmp_path):
    for text, message in [("- a", "expected a mapping"), ("a: [", "expected YAML")]:
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_grid(str(tmp_path / "bad.yaml"))
    with pytest.raises(ValueError, match=r"expected a file, but there is none at 'gone\.yaml'"):
        read_grid("gone.yaml")
    with pytest.raises(ValueError, match="did you mean 'table1'"):
        read_grid("tabel1")


def test_every_block_has_settings_for_its_kind_of_model():
    from lotus_unlearning.methods.presets import PRESETS

    for name, block in BLOCKS.items():
        assert "lotus" in PRESETS[block.paper], name
        assert block.tuned is None or block.tuned.startswith("tuned-")


@pytest.mark.parametrize("seeds", [10**9, 0, {"split": 2, "training": 10**9}])
def test_more_seeds_than_anybody_means_are_refused_at_once(seeds, tmp_path):
    (tmp_path / "g.yaml").write_text(f"{{title: x, blocks: [digits], seeds: {seeds}}}")
    with pytest.raises(ValueError, match="seeds: expected 1 to 1,000 of each"):
        read_grid(str(tmp_path / "g.yaml"))


@pytest.mark.parametrize("golds", [10**9, -1])
def test_more_golds_than_anybody_means_too(golds, tmp_path):
    (tmp_path / "g.yaml").write_text(f"{{title: x, blocks: [digits], golds: {golds}}}")
    with pytest.raises(ValueError, match="golds: expected 0 to 1,000"):
        read_grid(str(tmp_path / "g.yaml"))


@pytest.mark.parametrize(("kind", "rows"), [("random", [("tuned",)]), ("class", [])])
def test_what_was_tuned_for_single_images_is_not_run_on_classes(tmp_path, kind, rows):
    own = {"name": "own", "data": {"name": "digits"}, "model": "resnet-thin", "tuned": "demo"}
    changes = {"scenarios": [{"kind": kind}], "settings": ["tuned"], "methods": ["lotus"]}
    (section,) = grid(tmp_path, blocks=[own], **changes).sections()
    assert [row.settings for row in section.rows()] == rows
    assert section.settings_without_rows == ([] if rows else ["tuned"])


def test_what_was_tuned_for_classes_is(tmp_path):
    changes = {"scenarios": [{"kind": "class"}], "settings": ["authors", "tuned"]}
    (section,) = grid(tmp_path, blocks=["digits"], methods=["lotus"], **changes).sections()
    assert [row.settings for row in section.rows()] == [("authors",), ("tuned",)]


def test_blocks_and_variants_of_a_file_are_chosen_by_their_names(tmp_path):
    variant = {"method": "lotus", "label": "slow", "settings": {"epochs": 9}}
    lines = [f"blocks: [{json.dumps(BLOCK)}, digits]", f"methods: [ssd, {json.dumps(variant)}]"]
    (tmp_path / "own.yaml").write_text("\n".join(["title: own", *lines]))
    chosen = read_grid(
        str(tmp_path / "own.yaml"), {"blocks": ["few-digits"], "methods": ["slow", "finetune"]}
    )
    assert list(chosen.blocks) == ["few-digits"]
    assert chosen.blocks["few-digits"].setup.data.limit == 200
    (section,) = chosen.sections()
    assert [row.label for row in section.rows()] == ["slow", "finetune"]


def test_each_original_can_unlearn_several_times(tmp_path):
    once, twice = (grid(tmp_path, seeds={"split": 2, "unlearning": n}) for n in (1, 2))
    first, all_of_them = (list(dict.fromkeys(one.cells())) for one in (once, twice))
    assert set(first) < set(all_of_them), "cells of one unlearning stay what they are"
    more = [cell for cell in all_of_them if cell not in first]
    assert [cell.seed for cell in more] == [1_000_000] * 2 + [1_000_001] * 2
    assert {cell.original for cell in more} == {cell.original for cell in first}
