import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from few_networks import RECIPE, KilledOnce, network

from lotus_unlearning import Recipe, Splits, train
from lotus_unlearning.audit import Wanted, Where, bank, of_model, of_setup, read_bank
from lotus_unlearning.benchmark.cells import DataChoice, Setup
from lotus_unlearning.datasets import load
from lotus_unlearning.jobs.packing import zipped
from lotus_unlearning.runtime import Runtime

QUICK = replace(RECIPE, epochs=2)


@pytest.fixture(scope="module")
def quick(digits):
    return of_model(network(), digits, QUICK, precision="float32")


def test_a_gold_is_what_training_on_retain_gives(quick, digits, tmp_path):
    made = bank(quick, digits, tmp_path, Wanted(golds=1), keep_weights=True)
    gold = made.members("gold")[0]
    start = quick.fresh(gold.seed)
    retain = digits.retain.take(digits.retain.ids.argsort())
    expected = train(start, retain, QUICK, seed=gold.seed, device="cpu", progress=False).model
    weights = made.weights(gold)
    assert all(torch.equal(weights[n], v) for n, v in expected.state_dict().items())
    logits = Runtime().predict(expected, digits.test).numpy()
    found = made.predictions(gold)["test"][digits.test.ids.numpy()]
    assert np.allclose(found, logits, atol=1e-5)


def test_predictions_are_kept_and_weights_only_if_asked(quick, digits, tmp_path):
    made = bank(quick, digits, tmp_path, Wanted(golds=1, shadows=2))
    gold, (shadow, _) = made.members("gold")[0], made.members("shadow")
    assert made.weights(gold) is None
    parts = {"train", "unseen", "test"}
    assert made.predictions(gold).keys() == parts | {"gradient_train", "gradient_unseen"}
    assert made.predictions(shadow).keys() == parts
    assert made.record(gold)["values"].keys() == {f"{part}_accuracy" for part in parts}
    again = bank(quick, digits, tmp_path, Wanted(golds=1), keep_weights=True)
    assert again.weights(gold) is not None


def test_predictions_that_were_deleted_are_made_again(quick, digits, tmp_path):
    made = bank(quick, digits, tmp_path, Wanted(golds=2))
    gold = made.members("gold")[1]
    known = made.predictions(gold)["test"]
    (tmp_path / "files" / gold.key / "predictions.npz").unlink()
    with pytest.raises(ValueError, match="the same lotus bank makes them again"):
        made.predictions(gold)
    again = bank(quick, digits, tmp_path, Wanted(golds=2))
    assert np.array_equal(again.predictions(gold)["test"], known)


def test_what_is_there_is_not_trained_again(quick, digits, tmp_path):
    told = []
    bank(quick, digits, tmp_path, Wanted(golds=2))
    bank(quick, digits, tmp_path, Wanted(golds=3, shadows=2), watch=lambda *a: told.append(a))
    assert [[m.title for m in members] for members, _, _ in told] == [
        ["gold 2"], ["shadow 0"], ["shadow 1"],
    ]  # fmt: skip
    assert [done for _, done, _ in told] == [3, 4, 5]
    assert {total for _, _, total in told} == {5}


def test_what_another_run_trains_meanwhile_is_not_trained_again(quick, digits, tmp_path):
    mine, theirs = [], []

    def overtaken(members, done, total):
        mine.append([member.title for member in members])
        bank(quick, digits, tmp_path, Wanted(golds=3), watch=lambda m, *_: theirs.extend(m))

    bank(quick, digits, tmp_path, Wanted(golds=3), watch=overtaken)
    assert mine == [["gold 0"]]
    assert [member.title for member in theirs] == ["gold 1", "gold 2"]


def test_at_once_and_in_processes_give_the_same_models(quick, digits, tmp_path):
    wanted = Wanted(golds=3, shadows=2, put_back=(5,), repeats=1)
    exact = of_model(network(), digits, QUICK, precision="float64")
    one = bank(exact, digits, tmp_path / "one", wanted)
    others = {
        "at once": bank(exact, digits, tmp_path / "a", wanted, where=Where(at_once=4)),
        "processes": bank(exact, digits, tmp_path / "p", wanted, where=Where(jobs=2)),
    }
    for name, other in others.items():
        for kind in ("gold", "shadow", "put-back"):
            mine, theirs = one.members(kind), other.members(kind)
            assert mine == theirs
            for member in mine:
                a, b = one.predictions(member), other.predictions(member)
                for part in a:
                    assert np.allclose(a[part], b[part], atol=2e-4, equal_nan=True), (name, part)
    assert others["at once"].record(others["at once"].members("gold")[0])["at_once"] == 3


def test_a_bank_of_something_else_is_refused(quick, digits, tmp_path):
    bank(quick, digits, tmp_path, Wanted(golds=1))
    other = of_model(network(), digits, replace(QUICK, epochs=3), precision="float32")
    with pytest.raises(ValueError, match="a bank of the same recipe"):
        bank(other, digits, tmp_path, Wanted(golds=1))
    fewer = Splits.from_ids(load("digits", limit=400), digits.forget.official_ids[:-1])
    with pytest.raises(ValueError, match="a bank of the same forget"):
        bank(quick, fewer, tmp_path, Wanted(golds=1))
    with pytest.raises(ValueError, match="expected a folder made by lotus bank"):
        read_bank(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("bank", {"forget": ["x"]}, "forget.0 (expected a whole number, got 'x')"),
        ("bank", {"content": {"train": 3}}, "content.train (expected text, got 3)"),
        ("gold", {"values": {"train_accuracy": 1.0}}, "expected train_accuracy, unseen_accuracy"),
        ("gold", {"values": {"train_accuracy": []}}, "values.train_accuracy (expected a number"),
        ("gold", {"cell": None}, "cell (expected a mapping, got null)"),
        ("gold", {"cell": {"number": 3}}, "the model of a bank that the file is named after"),
        ("gold", {"cell": {"kind": "silver"}}, "kind (expected one of 'gold', 'shadow'"),
        ("gold", {"weights_sha256": 3}, "weights_sha256 (expected text, got 3)"),
    ],
)
def test_a_bank_with_other_kinds_of_values_is_refused_with_their_places(
    quick, digits, tmp_path, file, change, told
):
    bank(quick, digits, tmp_path, Wanted(golds=1))
    (path,) = [tmp_path / "bank.json"] if file == "bank" else (tmp_path / "cells").glob("*.json")
    known = json.loads(path.read_text())
    inner = {k: {**known[k], **v} for k, v in change.items() if k == "cell" and v is not None}
    path.write_text(json.dumps({**known, **change, **inner}))
    with pytest.raises(ValueError, match=f"^{path}: expected") as caught:
        read_bank(tmp_path).members("gold")
    assert told in str(caught.value)


def test_predictions_that_would_fill_the_memory_are_refused_before_they_are_read(
    quick, digits, tmp_path, monkeypatch
):
    made = bank(quick, digits, tmp_path, Wanted(golds=1))
    (gold,) = made.members("gold")
    (path,) = (tmp_path / "files").glob("*/predictions.npz")
    path.write_bytes(zipped({"train": np.zeros((1 << 24, 4), bool)}, compressed=True))
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(ValueError, match=r"damaged contents \([\d,]+ bytes would become 67,1"):
        made.predictions(gold)


@pytest.mark.parametrize("kept", [{}, {"train": 3}, {"train": 400, "unseen": 1, "test": 1}])
def test_predictions_that_are_not_one_for_each_image_are_refused(quick, digits, tmp_path, kept):
    made = bank(quick, digits, tmp_path, Wanted(golds=1))
    (gold,) = made.members("gold")
    arrays = {part: np.zeros((rows, 10), np.float32) for part, rows in kept.items()}
    (tmp_path / "files" / gold.key / "predictions.npz").write_bytes(zipped(arrays))
    with pytest.raises(ValueError, match=r"got damaged contents \(not one for each image of"):
        made.predictions(gold)


def test_a_bank_says_whether_it_fits_a_model(filled, digits):
    filled.require(digits)
    other = Splits.random(load("digits", limit=400), fraction=0.05, seed=2, on_overlap="drop")
    filled.require(other, forget=False)
    with pytest.raises(ValueError, match="but these saw others"):
        filled.require(other)
    images = Splits.random(load("digits", limit=300), fraction=0.1, on_overlap="drop")
    with pytest.raises(ValueError, match="but train, unseen differ"):
        filled.require(images)


def test_images_that_an_earlier_run_forgot_are_never_seen(quick, digits, tmp_path):
    kept = replace(digits, retain=digits.retain.take(torch.arange(20, len(digits.retain))))
    made = bank(quick, kept, tmp_path, Wanted(golds=1, shadows=2))
    made.require(kept)
    with pytest.raises(ValueError, match="but these saw others"):
        made.require(digits)
    gone = digits.retain.ids[:20].numpy()
    labels = digits.retain.source.labels.numpy()
    for member in [*made.members("gold"), *made.members("shadow")]:
        assert not made.trained_on(member, labels)[gone].any()


def test_a_model_that_diverges_is_told_and_the_others_are_kept(digits, tmp_path):
    wild = Recipe(epochs=2, batch_size=64, learning_rate=1e30, warmup_epochs=0.0)
    made = bank(of_model(network(), digits, wild, precision="float32"), digits, tmp_path,
                Wanted(golds=2), where=Where(at_once=2))  # fmt: skip
    assert made.members("gold") == []
    assert sorted(m.title for m in made.failed()) == ["gold 0", "gold 1"]
    assert all("NaN or infinite" in why for why in made.failed().values())


def test_training_at_once_is_refused_where_it_cannot_be(digits, tmp_path):
    patient = of_model(network(), digits, replace(RECIPE, patience=2), precision="float32")
    with pytest.raises(ValueError, match="its recipe has patience"):
        bank(patient, digits, tmp_path, Wanted(golds=2), where=Where(at_once=2))
    made = bank(patient, digits, tmp_path, Wanted(golds=1))
    assert made.record(made.members("gold")[0])["at_once"] == 1


_FILL = """
import torch
torch.set_num_threads(1)
from lotus_unlearning import Recipe, Splits
from lotus_unlearning.audit import Wanted, bank, of_setup
from lotus_unlearning.benchmark.cells import DataChoice, Setup
from lotus_unlearning.datasets import load

setup = Setup(data=DataChoice(name="digits", limit=200), model="resnet-thin",
              recipe=Recipe(epochs=2), precision="float32")
splits = Splits.random(load("digits", limit=200), on_overlap="drop")
bank(of_setup(setup), splits, {folder!r}, Wanted(golds=40),
     watch=lambda *a: print("done", flush=True))
"""


def test_a_bank_that_was_killed_goes_on_where_it_was(tmp_path):
    code = textwrap.dedent(_FILL.format(folder=str(tmp_path / "bank")))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        assert process.stdout.readline() == "done\n"
    time.sleep(0.05)  # in the middle of the next one
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    before = _files(tmp_path / "bank" / "cells")
    assert 3 <= len(before) < 40
    assert all(json.loads(text)["values"] for text in before.values()), "none is half written"
    setup = Setup(
        data=DataChoice(name="digits", limit=200), model="resnet-thin",
        recipe=Recipe(epochs=2), precision="float32",
    )  # fmt: skip
    splits = Splits.random(load("digits", limit=200), on_overlap="drop")
    wanted = Wanted(golds=len(before) + 1)
    told = []
    made = bank(of_setup(setup), splits, tmp_path / "bank", wanted, watch=lambda *a: told.append(a))
    assert len(told) == 1
    assert len(made.members("gold")) == len(before) + 1
    after = _files(tmp_path / "bank" / "cells")
    assert all(after[name] == text for name, text in before.items())
    for gold in made.members("gold"):
        assert np.isfinite(made.predictions(gold)["train"]).all()


def test_a_process_that_is_killed_costs_the_others_nothing(quick, digits, tmp_path):
    victim, other = (member.seed for member in Wanted(golds=2).members("", ""))
    (tmp_path / "told").mkdir()
    fresh = KilledOnce(quick.fresh, victim, tmp_path / "told")
    where = Where(device="cpu", at_once=1, jobs=2)
    made = bank(replace(quick, fresh=fresh), digits, tmp_path / "bank", Wanted(golds=2),
                where=where)  # fmt: skip
    assert (tmp_path / "told" / "killed").exists()
    assert (fresh.beginnings(victim), fresh.beginnings(other)) == (2, 1)
    assert [member.seed for member in made.members("gold")] == [victim, other]
    assert not made.failed()


def _files(folder: Path):
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def test_no_process_at_all_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match=r"expected jobs >= 1; got Where\("):
        Where(jobs=0)
