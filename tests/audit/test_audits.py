import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from few_networks import RECIPE, network

from lotus_unlearning import Finetune, train, unlearn
from lotus_unlearning.audit import (
    Audit,
    Probes,
    Relearning,
    Wanted,
    attacks,
    audit,
    audits,
    bank,
    of_model,
)
from lotus_unlearning.audit.pairs import Pair, Scored
from lotus_unlearning.audit.subjects import Bench, Subject, of_bank
from lotus_unlearning.evaluation.predictions import Answers
from lotus_unlearning.metrics import attack_auc, margin
from lotus_unlearning.report.audit import render_audit

DETAILS = ("entropy", "confidence", "loss", "modified_entropy", "gradient_norm")
SHORT = Probes(relearning=Relearning(steps=8, every=4, batch_size=32))


@pytest.fixture(scope="module")
def gold(material, digits):
    """One more gold, which is not in the bank."""
    start, retain = material.fresh(77), digits.retain
    return train(start, retain, RECIPE, seed=77, device="cpu", progress=False).model


@pytest.fixture(scope="module")
def found(leaky, original, filled, digits):
    return audit(leaky, digits, original=original, golds=filled, device="cpu")


def row(audited, measure):
    return next(r for r in audited.page["ladder"] if r["measure"] == measure)


def test_a_model_that_knows_the_images_by_heart_is_found_out(found):
    assert found.outcome == "distinguishable"
    assert any(f["distinguishable"] for f in found.page["verdict"]["findings"])
    assert any("where golds have" in s for s in found.page["verdict"]["sentences"])
    for measure in ("auc_margin", "forget_accuracy", "jsd_to_golds", "margin_place"):
        found_row = row(found, measure)
        assert found_row["values"]["unlearned"] > found_row["intervals"]["gold"][1], measure


def test_the_threshold_of_every_score_finds_what_a_model_knows_by_heart(found):
    scores = ("entropy", "confidence", "loss", "margin", "modified_entropy", "gradient_norm")
    for score in scores:
        suffix = "" if score == "margin" else f"_{score}"
        threshold = row(found, f"held_out_threshold{suffix}")
        assert threshold["level"] == 0
        low, high = threshold["intervals"]["unlearned"]
        assert 0.5 < low < threshold["values"]["unlearned"] < high, score
        assert threshold["values"]["unlearned"] > threshold["values"]["gold"], score
    assert row(found, "held_out_threshold_rmia")["level"] == 1
    rates = [one for one in found.page["ladder"] if one["measure"].startswith("tpr_")]
    assert not [one["measure"] for one in rates if "0.5" in one["perfect"]]


@pytest.mark.parametrize("score", attacks._BY)
def test_rates_of_every_score_find_a_planted_leak_and_none_in_golds(score):
    draw = np.random.default_rng(0)

    def columns(known, of_golds):
        members = draw.normal(size=400)
        members[:known] += 9
        return Pair(members, draw.normal(size=(8, 400) if of_golds else 3200))

    by = [(who, columns(n, score == "lira_online")) for who, n in (("unlearned", 80), ("gold", 0))]
    found = {one.measure: one.plain() for one in attacks.attacks(Scored({score: by}), [score], 0)}
    suffix = "" if score == "margin" else f"_{score}"
    for percent, rate in (("1", 0.01), ("0_1", 0.001)):
        one = found[f"tpr_at_{percent}_percent{suffix}"]
        low, high = one["intervals"]["unlearned"]
        assert 0.15 < low <= one["values"]["unlearned"] <= high < 0.26
        assert one["values"]["gold"] < 5 * rate
        assert one["detail"] == (score in DETAILS)
        assert ("Of 400 forget and 3,200 unseen" in one["note"]) == (score == "gradient_norm")


def test_details_are_in_the_page_and_its_json_and_not_in_what_is_printed(found):
    details = [one for one in found.page["ladder"] if one["detail"]]
    names = {d["measure"] for d in details}
    assert {"held_out_threshold_entropy", "tpr_at_1_percent_loss"} <= names
    assert "held_out_threshold" not in names
    printed, html = found.to_markdown(), render_audit(found.page)
    for one in details:
        assert one["label"] not in printed
        assert one["label"] in html
    assert f"{len(details)} more rows are in the page and its JSON." in printed


def test_figures_are_at_hand_as_mappings_and_as_a_frame(found):
    table = found.to_frame(intervals=True)
    assert list(table.columns[:3]) == [("original", p) for p in ("value", "low", "high")]
    low, high = found.intervals["unlearned"]["auc_loss"]
    assert table.loc["auc_loss", "unlearned"].tolist() == [
        found.values["unlearned"]["auc_loss"], low, high
    ]  # fmt: skip
    assert found.to_frame().loc["auc_margin", "gold"] == found.values["gold"]["auc_margin"]
    assert found.notes == found.page["notes"]


def test_level_0_sees_it_too_and_makes_no_verdict(leaky, digits):
    alone = audit(leaky, digits, device="cpu")
    assert alone.page["level"] == 0
    assert alone.outcome == "not enough gold models to say"
    assert alone.page["self_test"] is None
    assert alone.page["columns"] == ["unlearned"]
    auc = row(alone, "auc_loss")
    assert auc["intervals"]["unlearned"][0] > 0.5


def test_one_more_gold_is_not_called_distinguishable(gold, original, filled, digits):
    found = audit(gold, digits, original=original, golds=filled, device="cpu")
    assert found.outcome == "indistinguishable from retraining at the tested power"
    assert any("would have been found" in s for s in found.page["verdict"]["sentences"])


def test_golds_may_be_models_as_well(gold, filled, digits, material):
    models = []
    for member in filled.members("gold")[:4]:
        subject = of_bank(filled, member, digits, material.fresh(0))
        models.append(subject.model)
    found = audit(gold, digits, golds=models, device="cpu")
    bank_rows = audit(gold, digits, golds=filled, device="cpu")
    mine, theirs = row(found, "auc_gradient_norm")["golds"], row(bank_rows, "auc_gradient_norm")
    assert np.allclose(mine, theirs["golds"][:4], atol=1e-6), "gradients are kept in the bank"
    assert np.allclose(row(found, "auc_margin")["golds"], row(bank_rows, "auc_margin")["golds"][:4])


def test_no_model_is_its_own_yardstick_and_none_counts_twice(original, filled, digits, material):
    golds = [
        of_bank(filled, member, digits, material.fresh(0)).model
        for member in filled.members("gold")[:3]
    ]
    with pytest.raises(ValueError, match="unlearned is gold 0"):
        audit(golds[0], digits, golds=filled, device="cpu")
    with pytest.raises(ValueError, match="gold 0 is gold 3"):
        audit(original, digits, golds=[*golds, golds[0]], device="cpu")
    with pytest.raises(ValueError, match="original is gold 1"):
        audit(golds[0], digits, original=original, golds=[golds[1], original], device="cpu")
    with pytest.raises(ValueError, match="unlearned is unlearned 1"):
        audit(golds[0], digits, golds=golds[1:], others=[original, golds[0]], device="cpu")
    again = audit(original, digits, original=original, golds=golds, device="cpu")
    assert again.values["original"]["forget_accuracy"] is not None, "an audit of the original"


def test_every_row_says_what_it_costs_and_what_gold_gives(found):
    for measured in found.page["ladder"]:
        assert measured["direction"] in ("near gold", "up", "down")
        assert measured["models"]
        assert measured["perfect"]
        assert len(measured["golds"]) in (0, 12)
        if measured["golds"]:
            assert measured["values"]["gold"] == pytest.approx(np.mean(measured["golds"]))


def test_values_are_those_of_the_pure_functions(found, leaky, digits):
    import torch

    with torch.no_grad():
        leaky.eval()
        sides = [
            margin(leaky(part.source.inputs(part.source.images[part.ids])), part.labels)
            for part in (digits.forget, digits.unseen)
        ]
    assert found.values["unlearned"]["auc_margin"] == pytest.approx(attack_auc(*sides))


def test_the_self_test_is_part_of_it(found):
    checks = found.page["self_test"]
    assert checks["held_out"]["golds"] == 12
    assert checks["held_out"]["passed"] >= 10
    assert [r["images"] for r in checks["put_back"]] == [1, 30]
    assert checks["original"]["outcome"]
    assert any("gold models, each judged by the others" in s for s in checks["sentences"])


def test_no_word_promises_what_cannot_be_known(found, filled, digits, gold):
    other = audit(gold, digits, golds=filled, level=2, shadows=filled, device="cpu")
    for audited in (found, other):
        text = (json.dumps(audited.page) + render_audit(audited.page)).lower()
        for word in ("certif", "guarant", "proves that", "proven"):
            assert word not in text


def test_level_2_needs_several_models_for_their_distribution(leaky, original, filled, digits):
    others = [
        unlearn(original, digits, Finetune(epochs=2), seed=s, device="cpu", progress=False)
        for s in range(3)
    ]
    found = audit(
        others[0], digits, original=original, golds=filled, shadows=filled, others=others[1:],
        level=2, device="cpu",
    )  # fmt: skip
    assert 0 <= found.values["unlearned"]["u_lira"] <= 1
    assert row(found, "klom")["values"]["gold"] > 0
    assert 0 <= found.values["gold"]["forgetting_quality"] <= 1
    told = found.page["u_lira"]
    assert np.mean(told["unlearned"]) == pytest.approx(found.values["unlearned"]["u_lira"])
    assert np.mean(told["gold"]) == pytest.approx(found.values["gold"]["u_lira"])
    assert len(told["unlearned"]) == len(digits.forget)
    assert sum(told["shares"]) == pytest.approx(1)
    assert 'id="told"' in render_audit(found.page)
    assert 0 <= found.values["unlearned"]["lira_online"] <= 1
    alone = audit(leaky, digits, golds=filled, level=2, device="cpu")
    assert "u_lira" not in alone.values
    assert "lira_online" not in alone.values
    assert alone.page["u_lira"] is None
    assert "auc_lira_online" not in alone.values["unlearned"]
    assert len([n for n in alone.page["notes"] if "shadow" in n or "KLOM" in n]) == 2


def test_lira_online_tells_a_model_from_golds_on_the_same_images(leaky, gold, filled, digits):
    found = {
        name: audit(model, digits, golds=filled, shadows=filled, level=2, device="cpu")
        for name, model in (("leaky", leaky), ("gold", gold))
    }
    area = row(found["leaky"], "auc_lira_online")
    assert area["values"]["unlearned"] > area["intervals"]["gold"][1], "it knows them by heart"
    assert area["values"]["gold"] == pytest.approx(0.5, abs=0.05)
    assert len(area["golds"]) == 12
    low, high = area["intervals"]["unlearned"]
    assert low < area["values"]["unlearned"] < high
    rate = row(found["leaky"], "tpr_at_1_percent_lira_online")
    assert "golds' answers to the same images" in rate["note"]
    assert rate["values"]["unlearned"] > rate["values"]["gold"]
    curve = found["leaky"].page["roc"]["By LiRA online, against golds"]
    assert curve["others"] == "answers of golds"
    assert curve["fpr"][0] == pytest.approx(1 / (12 * len(digits.forget)))
    assert curve["models"]["unlearned"]["auc"] == area["values"]["unlearned"]
    low, high = row(found["gold"], "auc_lira_online")["intervals"]["gold"]
    assert low <= row(found["gold"], "auc_lira_online")["values"]["unlearned"] <= high


def test_the_lowest_rate_is_shown_with_test_images_where_unseen_ones_are_too_few(
    leaky, filled, digits, monkeypatch
):
    import lotus_unlearning.audit.pairs as pairs

    alone, both = len(digits.unseen), len(digits.unseen) + len(digits.test)
    found = audit(leaky, digits, golds=filled, level=2, device="cpu")
    assert row(found, "tpr_at_0_1_percent")["values"]["unlearned"] is None
    assert f"{alone} non-members cannot show" in row(found, "tpr_at_0_1_percent")["note"]
    rare = 1 / both
    monkeypatch.setattr(pairs, "RAREST", rare)
    monkeypatch.setitem(attacks._RATES, "tpr_at_0_1_percent", rare)
    found = audit(leaky, digits, golds=filled, level=2, device="cpu")
    for name in ("tpr_at_0_1_percent", "tpr_at_0_1_percent_lira"):
        measured = row(found, name)
        assert 0 <= measured["values"]["unlearned"] <= 1
        assert "Of unseen and test images" in measured["note"]
        assert len(measured["golds"]) == 12
    assert "Of unseen and test" not in row(found, "tpr_at_1_percent")["note"]


def test_curves_of_golds_are_kept_in_the_bank_and_a_damaged_one_is_made_again(
    leaky, original, material, digits, tmp_path, monkeypatch
):
    from lotus_unlearning.audit import curves

    small = bank(material, digits, tmp_path / "bank", Wanted(golds=3), keep_weights=True)
    asked = []
    train_on = curves._curve
    monkeypatch.setattr(curves, "_curve", lambda *a: asked.append(a[0]) or train_on(*a))

    def once(**how):
        asked.clear()
        probes = Probes(relearning=Relearning(steps=8, every=4, learning_rate=0.01, **how))
        return audit(
            leaky, digits, original=original, golds=small, level=3, probes=probes, device="cpu"
        ).page["relearning"]

    first = once()
    assert len(asked) == 2 * 5
    assert once() == first
    assert len(asked) == 2 * 2, "golds are not trained on again"
    some = sorted((tmp_path / "bank" / "probes").glob("*.json"))
    assert len(some) == 2 * 3
    some[0].write_text("{")
    some[1].write_text(some[1].read_text().replace("[", '["x", ', 1))
    assert once() == first
    assert len(asked) == 2 * 2 + 2
    assert once(seed=1) != first, "other batches are another probe"
    assert len(asked) == 2 * 5


def test_level_3_trains_on_and_reads_features(leaky, original, filled, digits):
    found = audit(
        leaky, digits, original=original, golds=filled, level=3, probes=SHORT, device="cpu"
    )
    for name in ("retain", "forget"):
        measured = row(found, f"relearning_{name}")
        assert measured["values"]["unlearned"] == 0, "nothing is left to relearn"
        assert len(measured["golds"]) == 12
        assert np.mean(measured["golds"]) > 0
    curves = found.page["relearning"]
    assert [c["steps"] for c in curves] == [[0, 4, 8]] * 2
    assert all(len(g["loss"]) == 3 for c in curves for g in c["golds"])
    assert row(found, "probe_labels")["values"]["unlearned"] > 0.9


def test_level_3_says_so_when_there_is_no_weight_of_gold(leaky, digits, material, tmp_path):
    bare = bank(material, digits, tmp_path, Wanted(golds=2))
    found = audit(leaky, digits, golds=bare, level=3, probes=SHORT, device="cpu")
    assert found.outcome == "not enough gold models to say"
    assert any("keeps no weights" in note for note in found.page["notes"])
    assert row(found, "relearning_retain")["values"]["unlearned"] is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"level": 1}, "expected gold models for level 1, got none"),
        ({"level": 7}, "level: expected 0, 1, 2 or 3, got 7"),
        ({"level": 0, "others": [1]}, r"others \(level 2\), got 0; raise the level"),
        ({"others": [1]}, "expected gold models for level 2, got none"),
    ],
)
def test_a_level_without_what_it_needs_is_refused(leaky, digits, more, message):
    with pytest.raises(ValueError, match=message):
        audit(leaky, digits, device="cpu", **more)


def test_a_model_that_nothing_was_done_to_is_said_to_be_the_original(original, found, digits):
    said = "The model has the weights of the original: nothing was changed."
    assert said not in found.notes
    assert said in audit(copy.deepcopy(original), digits, original=original, device="cpu").notes


def test_without_a_level_all_that_is_given_is_used(gold, filled, digits):
    assert audit(gold, digits, golds=filled, device="cpu").page["level"] == 1
    assert audit(gold, digits, golds=filled, shadows=filled, device="cpu").page["level"] == 2
    with pytest.raises(ValueError, match=r"shadows \(level 2\), got 1"):
        audit(gold, digits, golds=filled, shadows=filled, level=1, device="cpu")


def test_images_that_are_all_copies_are_missing_as_if_none_were_given(leaky, digits):
    empty = replace(
        digits, unseen=digits.unseen.take(torch.arange(0)), test=digits.test.take(torch.arange(0))
    )
    found = audit(leaky, empty, device="cpu")
    assert any(note.startswith("No unseen and no test images") for note in found.notes)


def test_a_bank_without_shadows_is_refused_as_one_of_shadows(
    leaky, digits, filled, material, tmp_path
):
    bare = bank(material, digits, tmp_path, Wanted(golds=1))
    with pytest.raises(ValueError, match="expected a bank with 4 shadow models or more"):
        audit(leaky, digits, golds=filled, shadows=bare, level=2, device="cpu")


def test_without_unseen_and_test_images_the_rest_is_measured(leaky, filled, digits):
    bare = replace(digits, unseen=None, test=None)
    found = audit(leaky, bare, golds=filled, device="cpu")
    assert found.outcome == "distinguishable"
    assert {"jsd_to_golds", "outside_gold_band"} <= found.values["unlearned"].keys()
    assert "auc_margin" not in found.values["unlearned"]
    assert render_audit(found.page)


def test_an_audit_survives_json(found, tmp_path):
    again = Audit.from_json(found.to_json(tmp_path / "audit.json"))
    assert again.page == found.page
    assert again.to_markdown() == found.to_markdown()
    assert "| Accuracy on forget ≈ gold" in found.to_markdown()
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(ValueError, match="got other JSON"):
        Audit.from_json(tmp_path / "other.json")


def test_the_same_audit_gives_the_same_figures(found, leaky, original, filled, digits):
    again = audit(leaky, digits, original=original, golds=filled, device="cpu")
    assert again.page["ladder"] == found.page["ladder"]
    assert again.page["verdict"] == found.page["verdict"]


def test_a_model_that_diverges_when_it_is_trained_on_is_shown_as_far_as_it_goes(
    original, gold, digits
):
    wild = copy.deepcopy(gold)
    with torch.no_grad():
        wild[-1].weight.mul_(1e30)
    found = audit(
        wild, digits, original=original, golds=[gold], level=3, probes=SHORT, device="cpu"
    )
    curve = found.page["relearning"][0]["unlearned"]
    assert None in curve["loss"]
    json.dumps(found.page, allow_nan=False)
    assert "to no number" in render_audit(found.page)


@pytest.mark.parametrize("count", [1, 2])
def test_a_request_for_one_image_is_audited_at_every_level(original, gold, digits, material, count):
    few = replace(digits, forget=digits.forget.take(torch.arange(count)))
    golds = [material.fresh(seed) for seed in range(8)]
    found = audit(gold, few, original=original, golds=golds, level=3, probes=SHORT, device="cpu")
    assert json.loads(json.dumps(found.page, allow_nan=False)) == found.page
    assert render_audit(found.page)
    second = row(found, "relearning_forget")
    assert second["values"]["unlearned"] is None
    assert "expected at least 3 forget images" in second["note"]
    threshold = row(found, "held_out_threshold")
    assert (threshold["values"]["unlearned"] is None) == (count == 1)
    assert ("too few" in threshold["note"]) == (count == 1)


def test_golds_that_could_not_be_trained_are_named(leaky, digits, material, tmp_path):
    made = bank(material, digits, tmp_path / "bank", Wanted(golds=3))
    lost = made.members("gold")[1]
    cell = made.folder / "cells" / f"{lost.key}.json"
    record = json.loads(cell.read_text())
    record.pop("values")
    cell.write_text(json.dumps(record | {"error": "a weight is NaN after the last step"}))
    found = audit(leaky, digits, golds=made, device="cpu")
    assert len(found.page["verdict"]["sentences"]) >= 1
    assert found.page["verdict"]["golds"] == 2
    said = "gold 1 of the bank is missing, as it could not be trained: a weight is NaN after"
    assert any(note.startswith(said) for note in found.notes)


def test_a_bank_without_a_single_gold_says_why(leaky, digits, tmp_path):
    wild = replace(RECIPE, epochs=2, learning_rate=1e30, warmup_epochs=0.0)
    made = bank(
        of_model(network(), digits, wild, precision="float32"), digits, tmp_path, Wanted(golds=2)
    )
    with pytest.raises(ValueError, match="has none; 2 could not be trained: loss is nan"):
        audit(leaky, digits, golds=made, device="cpu")


def test_the_readme_audits_a_model_in_memory(original, gold, digits, tmp_path, monkeypatch):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = [b for b in re.findall(r"(?s)```python\n(.*?)```", readme) if "Wanted" in b]
    monkeypatch.chdir(tmp_path)
    small = code.replace("epochs=30", "epochs=1").replace("golds=16", "golds=3")
    assert small.count("epochs=1") == small.count("golds=3") == 1
    names = {"model": original, "result": gold, "splits": digits}
    exec(compile(small, "README.md", "exec"), names)
    assert names["found"].page["verdict"]["golds"] == 3
    assert (tmp_path / "audit.html").is_file()


def test_golds_that_know_less_than_the_model_before_are_said_to_be_a_poor_yardstick():
    labels = np.arange(100) % 2

    def subject(name, right):
        logits = np.eye(2)[np.where(np.arange(100) < right, labels, 1 - labels)]
        return Subject(name, {"test": Answers(logits, labels)})

    original, poor, fine = subject("original", 93), subject("gold", 85), subject("gold", 92)
    (said,) = audits._of_golds(Bench(original, original, (poor, poor)))
    assert said.startswith("Golds are right on 85.0 % of test images, the model before on 93.0 %")
    assert audits._of_golds(Bench(original, original, (fine, fine))) == []
    assert audits._of_golds(Bench(original, None, (poor,))) == []
    assert audits._of_golds(Bench(original, original)) == []
