"""A run is audited against models that were retrained without the images."""

import json
import re
from dataclasses import replace
from hashlib import sha256

import pytest
import workspaces
import yaml

from lotus_unlearning.requests import auditing, entries
from lotus_unlearning.requests.auditing import against_golds, judged
from lotus_unlearning.requests.page import _audit as view_of_audit
from lotus_unlearning.requests.serve import serve
from lotus_unlearning.requests.workspace import opened

GOLDS = 4


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A workspace in which a first model was kept from being served, and a second was not."""
    folder = workspaces.make(
        tmp_path_factory.mktemp("audit") / "deletion",
        recipe={"epochs": 2, "batch_size": 32},
        audit_level=2,
        audit_golds=GOLDS,
        guards=replace(workspaces.LENIENT, attack=None),
        method=replace(workspaces.SETTINGS.method, settings={"epochs": 1, "learning_rate": 30.0}),
    )
    workspaces.ask(folder, *workspaces.ids()[:20], near=False)
    said = []
    runs = [_run(folder, said)]
    assert len(list((folder / auditing.BANKS).iterdir())) == 1
    values = yaml.safe_load((folder / "lotus.yaml").read_text())
    values["method"]["settings"]["learning_rate"] = 1e-6
    (folder / "lotus.yaml").write_text(yaml.safe_dump(values))
    runs.append(_run(folder, said))
    return folder, runs, said


def _run(folder, said):
    with opened(folder, alone=True) as workspace:
        return serve(workspace, audit=against_golds(workspace, workspace.settings, said.append)).run


def test_the_record_of_a_run_holds_the_verdict_and_the_test_of_the_yardstick(audited):
    _, (_, run), _ = audited
    facts = run.record["audit"]["facts"]
    assert (facts["level"], facts["golds"]) == (2, GOLDS)
    assert {row["name"] for row in facts["statistics"]} >= {"jsd_to_golds", "forget_accuracy"}
    for row in facts["statistics"]:
        assert row["before"] is not None
        assert row["value"] is not None
        low, high = row["expected"]
        assert low < row["gold"] < high
        assert " to " in view_of_audit(run.record["audit"])["rows"][0]["expected"]
    accuracy = next(row for row in facts["ladder"] if row["measure"] == "forget_accuracy")
    row = next(row for row in facts["statistics"] if row["name"] == "forget_accuracy")
    assert row["expected"] == pytest.approx(accuracy["intervals"]["gold"])
    assert len({*facts["seeds_of_golds"]}) == GOLDS
    assert facts["golds_trained_on"]["precision"] in ("float32", "bfloat16")
    assert facts["self_test"]["held_out"]["golds"] == GOLDS
    assert any(
        "gold models, each judged by the others" in s for s in facts["self_test"]["sentences"]
    )
    assert facts["self_test"]["original"] in facts["outcome"] or facts["self_test"]["original"]
    # a model that was hardly changed is about as far from the golds as the one before
    row = next(row for row in facts["statistics"] if row["name"] == "jsd_to_golds")
    assert row["value"] == pytest.approx(row["before"], abs=0.02)


def test_a_model_far_from_the_golds_is_not_served(audited):
    _, (ruined, _), _ = audited
    assert ruined.state == "kept"
    assert not ruined.record["audit"]["passed"]
    assert "audit worse: distinguishable from retraining" in ruined.why


def test_golds_are_trained_once_for_a_request_and_are_gone_when_it_is_served(audited):
    folder, (_, run), said = audited
    assert len(said) == GOLDS
    for n, line in enumerate(said[:-1], start=1):
        assert re.fullmatch(rf"audit: {n} of {GOLDS} gold models, about .* left", line)
    assert said[-1] == f"audit: {GOLDS} of {GOLDS} gold models"
    assert run.state == "served"
    assert not (folder / auditing.BANKS).exists()


def test_the_folder_of_a_run_holds_the_page_of_its_audit_without_pictures(audited):
    folder, _, _ = audited
    page = json.loads((folder / "current" / "audit.json").read_text())
    assert page["columns"] == ["original", "unlearned", "gold"]
    assert [image["png"] for image in page["worst"]] == [None] * len(page["worst"])
    html = (folder / "current" / "audit.html").read_text("utf-8")
    assert "data:image/png" not in html


def test_the_record_holds_the_ladder_with_its_intervals_and_the_hash_of_all_that_was_found(audited):
    folder, (_, run), _ = audited
    audit = run.record["audit"]
    rows = {row["measure"]: row for row in audit["facts"]["ladder"]}
    assert {row["level"] for row in rows.values()} == {0, 1, 2}
    lira = rows["auc_lira"]
    for column in ("unlearned", "gold"):
        low, high = lira["intervals"][column]
        assert low <= high
    assert "No shadow models were given: LiRA is offline only." in audit["facts"]["notes"]
    file = (folder / "current" / "audit.json").read_bytes()
    assert audit["audit_json_sha256"] == sha256(file).hexdigest()
    shown = view_of_audit(audit)
    details = [row for row in rows.values() if row["detail"]]
    assert len(shown["ladder"]) + len(details) == len(rows)
    assert shown["details"] == len(details) > 0
    assert shown["how"]["SHA-256 of the run's audit.json"] == sha256(file).hexdigest()


CHANCE = "golds agree on another value, which the verdict does not find to matter"


def page(outcome, after=(), before=None):
    def verdict(effects):
        rows = [{"effect": None if e == CHANCE else e, "distinguishable": e is None}
                for e in effects]  # fmt: skip
        return {"outcome": outcome, "findings": rows}

    original = None if before is None else verdict(before)
    return {"verdict": verdict(after), "self_test": {"original": original}}


@pytest.mark.parametrize(
    ("found", "passes"),
    [
        (page("indistinguishable from retraining at the tested power", [1.0], [0.5]), True),
        (page("not enough gold models to say", [9.0], [0.5]), True),
        (page("distinguishable", [-6.0, 1.0], [2.0, 7.0]), True),
        (page("distinguishable", [-8.0, 1.0], [2.0, 7.0]), False),
        (page("distinguishable", [None], [7.0]), False),  # golds agree, and the model differs
        (page("distinguishable", [6.0], [None]), True),
        (page("distinguishable", [6.0, CHANCE], [7.0]), True),
        (page("distinguishable", [6.0], [2.0, CHANCE]), False),
        (page("distinguishable", [6.0]), False),
    ],
)
def test_a_model_passes_unless_it_is_found_out_and_farther_off_than_the_one_before(found, passes):
    assert judged(found)[0] == passes
    assert judged(found)[1].startswith("audit")


def test_a_model_that_was_trained_anew_is_stopped_by_no_audit():
    found = auditing.Audited(False, "audit worse: ...", {"golds": 4})
    assert auditing.of_retrained(found).passed
    assert auditing.of_retrained(found).why.endswith("no rail for a model trained anew")
    passed = replace(found, passed=True)
    assert auditing.of_retrained(passed) is passed


def test_images_put_back_into_golds_are_part_of_the_self_test_of_a_record(tmp_path):
    folder = workspaces.make(
        tmp_path / "deletion",
        recipe={"epochs": 2, "batch_size": 32},
        audit_level=1,
        audit_golds=4,
        audit_put_back=[2, 50],
        guards=replace(workspaces.LENIENT, attack=None),
    )
    workspaces.ask(folder, *workspaces.ids()[:5], near=False)
    run = _run(folder, said := [])
    assert said[-1] == "audit: 8 of 8 gold models"
    tested = run.record["audit"]["facts"]["self_test"]
    assert [row["images"] for row in tested["put_back"]] == [2, 5], "no more than there are"
    assert all(row["models"] == 2 for row in tested["put_back"])
    assert any("put back" in sentence for sentence in tested["sentences"])


def test_one_bank_judges_all_images_and_the_new_ones_alone(audited, tmp_path):
    folder = workspaces.copied(audited[0], tmp_path / "deletion")
    before = workspaces.ids()[:20]
    workspaces.ask(folder, *workspaces.ids()[20:25], near=False)
    run, said = _run(folder, said := []), said
    assert len(said) == GOLDS, "trained once for both"
    facts = run.record["audit"]["facts"]
    assert facts["new_images"]["images"] == 5
    assert facts["new_images"]["golds"] == facts["golds"] == GOLDS
    words = " ".join(facts["self_test"]["sentences"])
    assert f"The model before, which had already forgotten {len(before)} of these images" in words
    assert "which has forgotten nothing" not in words
    assert "which has forgotten nothing" in " ".join(facts["new_images"]["self_test"]["sentences"])
    page = (folder / "runs" / f"{run.number:04}" / "audit.html").read_text()
    assert "An earlier run had made it forget" in page


def test_a_bank_goes_without_unseen_images_if_all_were_asked_for(tmp_path):
    folder = workspaces.make(
        tmp_path / "deletion",
        recipe={"epochs": 1, "batch_size": 32},
        audit_level=1,
        audit_golds=3,
        guards=replace(workspaces.LENIENT, attack=None),
    )
    data = workspaces.data()
    unseen = [str(i) for i in data.unseen.official.ids.tolist()]
    workspaces.ask(folder, workspaces.ids()[0], *unseen, near=False)
    assert _run(folder, []).record["audit"]["facts"]["golds"] == 3


def test_golds_that_diverge_are_told_while_they_are_trained_and_the_request_stays_pending(
    tmp_path,
):
    folder = workspaces.make(
        tmp_path / "deletion",
        recipe={"epochs": 2, "batch_size": 32, "learning_rate": 1e30, "warmup_epochs": 0.0},
        audit_level=1,
        audit_golds=3,
    )
    workspaces.ask(folder, *workspaces.ids()[:5], near=False)
    said = []
    with pytest.raises(ValueError, match="has none; 3 could not be trained"):
        _run(folder, said)
    assert sum("could not be trained" in line for line in said) == 3
    with opened(folder) as workspace:
        assert [request.state for request in entries.requests(workspace.db)] == ["pending"]
