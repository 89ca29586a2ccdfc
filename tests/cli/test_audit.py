"""``lotus bank`` and ``lotus audit``, end to end, on 150 digits."""

import json
import sys

import numpy as np
import pytest
import yaml
from few_digits import IDS

from lotus_unlearning import datasets, runs
from lotus_unlearning.audit import read_bank
from lotus_unlearning.cli import main
from lotus_unlearning.metrics import METRICS


@pytest.fixture(scope="module")
def work(trained, tmp_path_factory):
    """An unlearned run, and a bank of 8 golds and 4 shadows for what it forgot."""
    place = tmp_path_factory.mktemp("audit")
    unlearned, bank = str(place / "unlearned"), str(place / "bank")
    words = ["unlearn", "--model", str(trained / "original"), "--method", "finetune"]
    words += ["--method.epochs", "1", "--forget", str(trained / "ids.txt"), "--out", unlearned]
    assert main(words) == 0
    assert main(["bank", "--model", unlearned, "--golds", "8", "--shadows", "4",
                 "--put_back", "15", "--repeats", "1", "--out", bank]) == 0  # fmt: skip
    return place


def test_a_bank_holds_models_that_never_saw_what_the_run_forgot(work, trained):
    bank = read_bank(work / "bank")
    assert [len(bank.members(kind)) for kind in ("gold", "shadow", "put-back")] == [8, 4, 1]
    data = datasets.load("digits", limit=150)
    labels = data.train.labels.numpy()
    ids = np.isin(data.train.official.ids.numpy(), IDS)
    for gold in bank.members("gold"):
        assert not bank.trained_on(gold, labels)[ids].any()
        assert bank.trained_on(gold, labels)[~ids].all()
    assert bank.trained_on(bank.members("put-back")[0], labels)[ids].all()


def test_a_bank_goes_on_and_says_so(work, capsys):
    words = ["bank", "--model", str(work / "unlearned"), "--golds", "9"]
    assert main([*words, "--out", str(work / "bank")]) == 0
    shown = capsys.readouterr()
    assert "9 of 9 done: gold 8" in shown.err
    assert "9 gold models; mean accuracies: train" in shown.out


def test_an_audit_compares_a_run_with_its_bank_and_writes_a_page(work, trained, capsys):
    out = work / "audit"
    words = ["audit", "--run", str(work / "unlearned"), "--golds", str(work / "bank")]
    assert main([*words, "--level", "1", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "original: " in shown.err
    assert "| JSD to golds ≈ gold" in shown.out
    assert "gold models, each judged by the others" in shown.out
    files = {"audit.json", "audit.html", "config.yaml", "manifest.json", "forget.txt"}
    assert {p.name for p in out.iterdir()} == files
    page = json.loads((out / "audit.json").read_text())
    assert page["columns"] == ["original", "unlearned", "gold"]
    assert page["title"] == "Audit: 15 images forgotten by Finetune"
    assert {row["measure"] for row in page["ladder"]} & METRICS.keys()
    assert page["verdict"]["golds"] >= 8
    manifest = runs.read(out).manifest
    assert manifest["outcome"] == page["verdict"]["outcome"]
    assert sorted(manifest["forgotten"]) == sorted(IDS)


def test_a_gold_and_the_original_may_stand_in_the_models_place(work, trained, tmp_path):
    words = ["--original", str(trained / "original"), "--forget", str(trained / "ids.txt")]
    words += ["--golds", str(work / "bank")]
    for name in ("gold", "original"):
        out = tmp_path / name
        assert main(["audit", "--run", str(trained / name), *words, "--out", str(out)]) == 0
        page = json.loads((out / "audit.json").read_text())
        assert page["self_test"]["original"]["outcome"]
        assert page["title"] == "Audit: 15 images to forget"
    assert page["verdict"]["outcome"] == page["self_test"]["original"]["outcome"]


def test_the_config_of_an_audit_makes_it_again(work, tmp_path):
    again = tmp_path / "again"
    words = ["audit", "--run", str(work / "unlearned"), "--golds", str(work / "bank")]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    config = yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())
    assert config["golds"] == [str(work / "bank")]
    assert (
        main(["audit", "--config", str(tmp_path / "one" / "config.yaml"), "--out", str(again)]) == 0
    )
    one, two = (json.loads((p / "audit.json").read_text()) for p in (tmp_path / "one", again))
    assert one["ladder"] == two["ladder"]


def test_an_audit_without_golds_is_level_0(work, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["audit", "--run", str(work / "unlearned"), "--out", str(out)]) == 0
    assert "**Not enough gold models to say**" in capsys.readouterr().out
    assert json.loads((out / "audit.json").read_text())["level"] == 0


def test_golds_may_be_runs(work, trained, tmp_path, capsys):
    words = ["audit", "--run", str(work / "unlearned"), "--out", str(tmp_path / "out")]
    assert main([*words, "--golds", str(trained / "gold")]) == 0
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["verdict"]["golds"] == 1
    other = ["audit", "--run", str(work / "unlearned"), "--out", str(tmp_path / "other")]
    assert main([*other, "--golds", str(trained / "original")]) == 1
    assert "was trained on 15 of them" in capsys.readouterr().err


def test_level_3_takes_a_trigger(work, tmp_path, monkeypatch):
    (tmp_path / "corner.py").write_text(
        "def bright(x):\n    x = x.clone()\n    x[..., 0, 0] = 9\n    return x\n"
    )
    monkeypatch.chdir(tmp_path)
    words = [
        "audit",
        "--run",
        str(work / "unlearned"),
        "--golds",
        str(work / "bank"),
        "--level",
        "3",
    ]
    words += ["--relearning.steps", "4", "--trigger", "python:corner:bright", "--target", "3"]
    assert main([*words, "--out", "out"]) == 0
    page = json.loads((tmp_path / "out" / "audit.json").read_text())
    rows = {row["measure"]: row["values"] for row in page["ladder"]}
    assert 0 <= rows["attack_success"]["unlearned"] <= 1
    assert "relearning_retain" in rows
    sys.modules.pop("corner", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bank", "--out", "x"], "expected either --model RUN or --block NAME"),
        (["bank", "--block", "digts", "--out", "x"], "did you mean 'digits'?"),
        (["bank", "--block", "digits", "--shadows", "3", "--out", "x"], "even number of shadows"),
        (["bank", "--block", "imagenet1k", "--out", "x"], "expected a recipe to train by"),
        (["bank", "--model", "nowhere", "--out", "x"], "expected a run folder"),
        (["audit", "--run", "{unlearned}", "--level", "1"], "expected gold models for level 1"),
        (["audit", "--run", "{unlearned}", "--shadows", "nowhere"], "made by lotus bank"),
        (
            ["audit", "--run", "{unlearned}", "--golds", "typo"],
            "expected a bank made by lotus bank",
        ),
        (["audit", "--run", "{unlearned}", "--trigger", "x.py"], "python:MODULE:NAME"),
        (["audit", "--run", "{original}"], "expected the images that were to be forgotten"),
        (["audit", "--run", "{unlearned}", "--forget", "ids:1", "--golds", "{bank}"], "saw others"),
    ],
)
def test_mistakes_get_one_clear_line(words, message, work, trained, capsys, tmp_path, monkeypatch):
    places = {
        "unlearned": work / "unlearned",
        "bank": work / "bank",
        "original": trained / "original",
    }
    monkeypatch.chdir(tmp_path)
    assert main([word.format(**places) for word in words]) in (1, 2)
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "runs").exists()
