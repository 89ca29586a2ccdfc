"""A run forgets the union of all requests, and swaps the model only if the guard rails hold."""

import json
import os
import shutil
import warnings
from dataclasses import replace

import mislabelled
import numpy as np
import pytest
import torch
import workspaces
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.stats import binomtest

from lotus_unlearning import datasets, runs
from lotus_unlearning.requests import entries, ledger, plan
from lotus_unlearning.requests.auditing import BANKS, Audited
from lotus_unlearning.requests.evidence import NOT_AUDITED
from lotus_unlearning.requests.intake import add, close
from lotus_unlearning.requests.page import view
from lotus_unlearning.requests.record import record
from lotus_unlearning.requests.serve import serve
from lotus_unlearning.requests.settings import DataChoice, Guards, MethodChoice
from lotus_unlearning.requests.start import start
from lotus_unlearning.requests.workspace import LEDGER, WEIGHTS, opened, served_run
from lotus_unlearning.training import Recipe, train


def run(workspace, **options):
    with opened(workspace, alone=True) as found:
        return serve(found, **options)


def changed(workspace, **settings):
    """Edit ``lotus.yaml`` as a person would."""
    values = yaml.safe_load((workspace / "lotus.yaml").read_text())
    (workspace / "lotus.yaml").write_text(yaml.safe_dump({**values, **settings}))


def states(workspace):
    with opened(workspace) as found:
        return [request.state for request in entries.requests(found.db)]


def test_all_pending_requests_are_served_in_one_batch(workspace):
    one, two, three, *_ = workspaces.ids()
    workspaces.ask(workspace, one, two, reference="a")
    workspaces.ask(workspace, two, three)
    made = run(workspace).run
    assert (made.number, made.state, list(made.requests)) == (1, "served", [1, 2])
    assert os.readlink(workspace / "current") == "runs/0001"
    assert states(workspace) == ["served", "served"]
    record = made.record
    assert record["images"]["forget"] == 3
    assert record["images"]["retain"] == 147
    assert record["started_from"]["run"] == 0
    assert record["method"]["settings"]["epochs"] == 1
    assert any("No gold" in note for note in record["notes"])
    assert record["of_requests"]["1"]["images"] == 2
    assert {row["measure"] for row in record["measures"]} >= {"auc_loss", "test_accuracy"}
    loss = next(row for row in record["measures"] if row["measure"] == "auc_loss")
    low, high = loss["intervals"]["after"]
    assert low <= loss["values"]["after"] <= high
    test = next(row for row in record["measures"] if row["measure"] == "test_accuracy")
    count = len(workspaces.data().test)
    ends = binomtest(round(test["values"]["after"] * count), count).proportion_ci(method="exact")
    assert test["intervals"]["after"] == pytest.approx([ends.low, ends.high])
    folder = runs.read(workspace / "current")
    assert folder.manifest["weights_sha256"] == made.weights
    folder.model()  # says so if the weights are others
    page = json.loads((workspace / "current" / "metrics.json").read_text())
    assert page["images"] == []  # no pictures of what is forgotten are kept


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_what_a_run_wrote_is_on_the_disk_before_it_is_served(workspace, monkeypatch):
    workspaces.ask(workspace, workspaces.ids()[0])
    done, replace_ = [], os.replace

    def replaced(source, target):
        done.append(("replaced", str(target)))
        replace_(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(
        os, "fsync", lambda handle: done.append(("synced", os.readlink(f"/proc/self/fd/{handle}")))
    )
    run(workspace)
    swap = done.index(("replaced", str(workspace / "current")))
    files = {("synced", str(path)) for path in (workspace / "runs" / "0001").iterdir()}
    assert files <= {*done[:swap]}
    assert ("synced", str(workspace / "runs")) in done[:swap]
    assert ("synced", str(workspace)) in done[swap:]


def test_nothing_pending_is_nothing_to_do(workspace):
    assert run(workspace) is None
    assert os.readlink(workspace / "current") == "runs/0000"


def test_images_that_are_forgotten_already_are_noted_and_answered_at_once(workspace):
    one, two, *_ = workspaces.ids()
    workspaces.ask(workspace, one)
    run(workspace)
    workspaces.ask(workspace, one)
    workspaces.ask(workspace, one, two)
    with opened(workspace) as found:
        _, again, mixed = entries.requests(found.db)
    assert (again.state, again.run) == ("served", 1)
    assert [f.verdict for f in again.images] == ["already forgotten"]
    assert mixed.state == "pending"
    assert list(mixed.to_forget) == [two]
    assert run(workspace).run.record["of_requests"]["2"]["images"] == 1


@pytest.mark.parametrize("limit", ["retained_accuracy_loss", "test_accuracy_loss"])
def test_a_model_that_lost_too_much_is_not_served(workspace, limit):
    ruin = {"name": "finetune", "settings": {"epochs": 1, "learning_rate": 30.0}}
    guards = {"retained_accuracy_loss": 1.0, "test_accuracy_loss": 1.0, "attack": None, limit: 0.01}
    changed(workspace, method=ruin, guards=guards)
    workspaces.ask(workspace, workspaces.ids()[0])
    made = run(workspace).run
    assert made.state == "kept"
    assert "lost too much" in made.why
    assert os.readlink(workspace / "current") == "runs/0000"
    assert states(workspace) == ["pending"]
    kept = workspace / "runs" / "0001"
    assert (kept / "report.html").is_file()
    assert not (kept / WEIGHTS).exists()
    changed(workspace, method={"name": "finetune", "settings": {"epochs": 1}})
    assert run(workspace).run.number == 2
    assert states(workspace) == ["served"]


def test_no_gold_is_trained_for_a_model_that_cannot_be_served_anyway(workspace):
    def audit(before, after, splits, **how):
        raise AssertionError("golds take hours")

    ruin = {"name": "finetune", "settings": {"epochs": 1, "learning_rate": 30.0}}
    guards = {"retained_accuracy_loss": 0.01, "test_accuracy_loss": 1.0, "attack": None}
    changed(workspace, audit_level=1, method=ruin, guards=guards)
    workspaces.ask(workspace, workspaces.ids()[0])
    made = run(workspace, audit=audit).run
    assert (made.state, made.record["audit"]) == ("kept", None)
    assert "lost too much" in made.why
    assert NOT_AUDITED in made.record["notes"]
    off = "The guard rail on attacks was switched off (guards.attack in lotus.yaml)."
    assert off in made.record["notes"]


def test_what_was_warned_of_is_in_the_record(workspace):
    def audit(before, after, splits, **how):
        warnings.warn("these images are odd", stacklevel=2)
        return Audited(True, "audit: fine", {})

    changed(workspace, audit_level=1)
    workspaces.ask(workspace, workspaces.ids()[0])
    made = run(workspace, audit=audit)
    assert made.warnings == ["these images are odd"]
    assert made.run.record["notes"][-1] == "these images are odd"


@pytest.mark.parametrize(
    ("due", "said"), [("2020-02-01", "2020-02-01; served later, on "), (None, "")]
)
def test_that_a_request_was_served_after_it_was_due_is_in_its_record(workspace, due, said):
    with opened(workspace) as found:
        add(found, ids=[workspaces.ids()[0]], received=due and "2020-01-01", due=due)
    run(workspace)
    with opened(workspace) as found:
        shown = view(record(found, 1), "key")["request"]["due"]
    assert shown.startswith(said)
    assert ("served later" in shown) == bool(due)


def test_golds_of_requests_that_were_withdrawn_are_taken_away(workspace):
    with opened(workspace) as found:
        bank = found.folder / BANKS / "0001"
    bank.mkdir(parents=True)
    assert run(workspace) is None
    assert not bank.parent.exists()


def test_retraining_is_the_fallback_and_starts_elsewhere(workspace):
    changed(workspace, recipe={"epochs": 2, "batch_size": 32})
    workspaces.ask(workspace, workspaces.ids()[0])
    made = run(workspace, retrain=True).run
    assert made.state == "served"
    assert made.record["retrained"]
    assert made.record["method"]["name"] == "Retrain"
    assert [rail["name"] for rail in made.record["guard_rails"]] == [
        "changed",
        "retain_accuracy",
        "test_accuracy",
    ]


def test_a_run_that_changes_no_weight_serves_nobody(workspace):
    # the target is met before the first step: LoTUS stops there
    changed(workspace, method={"name": "lotus", "settings": {"target_accuracy": 1.0}})
    workspaces.ask(workspace, workspaces.ids()[0])
    made = run(workspace).run
    assert made.state == "kept"
    assert made.weights == made.record["started_from"]["weights_sha256"]
    assert "nothing was forgotten" in made.why
    assert states(workspace) == ["pending"]


def test_the_images_that_are_new_are_audited_alone_too(workspace):
    asked = []

    def audit(before, after, splits, *, level, seed, forgotten_before):
        asked.append((sorted(map(str, splits.forget.official_ids)), forgotten_before))
        return Audited(len(asked) != 3, f"audit: {len(asked)}", {"outcome": f"{len(asked)}"})

    one, two, three, *_ = workspaces.ids()
    changed(workspace, audit_level=1)
    workspaces.ask(workspace, one)
    assert run(workspace, audit=audit).run.state == "served"
    workspaces.ask(workspace, one, two, three)
    made = run(workspace, audit=audit).run
    assert asked == [([one], 0), (sorted([one, two, three]), 1), (sorted([two, three]), 0)]
    assert made.state == "kept", "one of the two audits does not pass"
    assert made.record["audit"]["why"] == "audit: the 2 new images alone: 3; all images: 2"
    assert made.record["audit"]["facts"]["new_images"] == {"images": 2, "outcome": "3"}


def test_an_audit_that_fails_keeps_the_old_model_and_one_that_passes_is_recorded(workspace):
    asked = []

    def audit(before, after, splits, *, level, seed, forgotten_before):
        asked.append((level, len(splits.forget), before is after))
        return Audited(len(asked) > 1, "distinguishable", {"self_test": {"gold passes": 0.97}})

    workspaces.ask(workspace, workspaces.ids()[0])
    changed(workspace, audit_level=1)
    first, second = (run(workspace, audit=audit).run for _ in range(2))
    assert (first.state, first.why) == ("kept", "distinguishable")
    assert second.state == "served"
    assert second.record["audit"]["facts"]["self_test"] == {"gold passes": 0.97}
    assert asked == [(1, 1, False)] * 2


def test_the_second_of_two_runs_at_once_refuses(workspace):
    workspaces.ask(workspace, workspaces.ids()[0])
    with opened(workspace, alone=True):
        with pytest.raises(ValueError, match=f"got one \\(process {os.getpid()}\\)"):
            run(workspace)
        assert states(workspace) == ["pending"]  # reading goes on meanwhile


def test_requests_that_change_while_a_run_is_at_work_stay_as_they_were_made(workspace):
    one, two, three, *_ = workspaces.ids()
    workspaces.ask(workspace, one)
    workspaces.ask(workspace, two)

    def meanwhile(before, after, splits, *, level, seed, forgotten_before):
        with opened(workspace) as other:
            add(other, ids=[three])
            close(other, 2, "withdrawn", "taken back")
        return Audited(True, "", {})

    changed(workspace, audit_level=1)
    run(workspace, audit=meanwhile)
    assert states(workspace) == ["served", "withdrawn", "pending"]
    with opened(workspace) as found:
        assert {*entries.forgotten(found.db)} == {one, two}  # the model forgot it all the same


def test_a_model_that_was_changed_behind_our_back_is_noticed(workspace):
    workspaces.ask(workspace, workspaces.ids()[0])
    file = workspace / "runs" / "0000" / WEIGHTS
    weights = load_file(file)
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, file)
    with pytest.raises(ValueError, match="it was changed after it was written"):
        run(workspace)
    file.unlink()
    with pytest.raises(ValueError, match="expected the served model, found none"):
        run(workspace)


def test_a_link_that_was_changed_behind_our_back_is_noticed(workspace):
    workspaces.ask(workspace, workspaces.ids()[0])
    run(workspace)
    workspaces.ask(workspace, workspaces.ids()[1])
    (workspace / "current").unlink()
    (workspace / "current").symlink_to("runs/0000")
    with pytest.raises(ValueError, match=r"link to runs/0001.*got runs/0000.*ln -sfn runs/0001"):
        run(workspace)


def test_lost_settings_can_be_put_back_from_the_last_run(workspace):
    (workspace / "lotus.yaml").rename(workspace / "lost")
    with pytest.raises(
        ValueError, match=r"found none; .*0000/config\.yaml holds the choice of data"
    ):
        states(workspace)
    (workspace / "lost").rename(workspace / "lotus.yaml")
    before = _settings(workspace)
    workspaces.ask(workspace, workspaces.ids()[0])
    run(workspace)
    (workspace / "lotus.yaml").unlink()
    with pytest.raises(ValueError, match=r"0001/config\.yaml holds those of the last run, under"):
        states(workspace)
    kept = yaml.safe_load((workspace / "runs" / "0001" / "config.yaml").read_text("utf-8"))
    (workspace / "lotus.yaml").write_text(yaml.safe_dump(kept["lotus.yaml"]), "utf-8")
    assert _settings(workspace) == before


def test_an_older_ledger_that_is_put_back_takes_no_run_away(workspace, tmp_path):
    older = tmp_path / "ledger.sqlite"
    workspaces.ask(workspace, workspaces.ids()[0])
    shutil.copy(workspace / LEDGER, older)
    run(workspace)
    for extra in ("-wal", "-shm"):
        (workspace / f"{LEDGER}{extra}").unlink(missing_ok=True)
    shutil.copy(older, workspace / LEDGER)
    with pytest.raises(ValueError, match="got runs/0001: the ledger is older than the model"):
        run(workspace)
    assert states(workspace) == ["pending"]
    assert runs.read(workspace / "current").model() is not None


def test_without_any_image_to_measure_on_a_run_says_so(photos):
    workspace, place = photos
    workspaces.ask(workspace, "cat/0.png")
    (place / "train" / "cat" / "0.png").unlink()
    with pytest.raises(ValueError, match="at least one image to forget that is still there"):
        run(workspace, retrain=True)


def test_other_data_than_those_of_the_workspace_are_refused(workspace):
    workspaces.ask(workspace, workspaces.ids()[0])
    changed(workspace, data={"name": "digits", "limit": 150, "seed": 1})
    with pytest.raises(ValueError, match="of the train images were no train images"):
        run(workspace)
    assert states(workspace) == ["pending"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": {"name": "scrubb"}}, "method: expected one of lotus"),
        ({"method": {"name": "scrub", "settings": {"epoch": 1}}}, "settings of scrub: "),
        (
            {"method": {"name": "scrub", "settings": {"epochs": "x", "decay_epochs": ["y"]}}},
            r"scrub: decay_epochs.0 \(.*; epochs \(expected a whole number, got 'x'\)",
        ),
        (
            {"method": {"name": "unsir", "settings": {"by_class.noise_steps": None}}},
            r"settings of unsir: by_class.noise_steps \(expected a whole number, got null\)",
        ),
        (
            {"method": {"name": "unsir", "settings": {"by_class": {"noise_steps": 1}}}},
            r"settings of unsir: by_class \(expected its settings one by one, as by_class.NAME\)",
        ),
        (
            {
                "method": {
                    "name": "scrub",
                    "settings": {"share": 1, "tolerance": 1, "smoothing": "x"},
                }
            },
            r"got share, smoothing, tolerance, as another method has; write `settings: \{\}`",
        ),
        ({"recipe": {"epoch": 1}}, "recipe: expected settings of training"),
        ({"recipe": {"epochs": "x"}}, r"values of epochs \(expected a whole number, got 'x'\)"),
        ({"architecture": {"name": []}}, r"architecture: .* name \(expected text, got a list\)"),
        ({"guards": {"attack": "auc"}}, "guards.attack one of auc_loss"),
        ({"guards": {"test_accuracy_loss": 2}}, r"limits of guards and drift in \[0, 1\]"),
        (
            {"due_days": "soon", "colour": 1},
            r"due_days \(expected a whole number, got 'soon'\); colour \(expected one of",
        ),
        ({"due_days": 10**10}, "due_days 0 to 36500, got 10000000000"),
        ({"format": 2}, "expected format 1, got 2; a newer"),
        ({"data": {}}, r"data.name \(expected text, got none\)"),
    ],
)
def test_mistakes_in_the_settings_are_told_before_any_work(workspace, settings, message):
    changed(workspace, **settings)
    with pytest.raises(ValueError, match=message):
        run(workspace, retrain="recipe" in settings)


@pytest.fixture
def photos(tmp_path):
    """A workspace on an image folder, around a model that was not trained."""
    place, draw = tmp_path / "photos", np.random.default_rng(0)
    for part in ("train", "unseen", "test"):
        for name in ("cat", "dog"):
            (place / part / name).mkdir(parents=True)
            for i in range(4):
                pixels = draw.integers(0, 256, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(place / part / name / f"{i}.png")
    choice = DataChoice(name=f"imagefolder:{place}", size=16)
    built = {"name": "resnet-thin", "classes": 2, "channels": 3, "image_size": 16}
    settings = replace(
        workspaces.SETTINGS,
        data=choice,
        architecture=built,
        recipe={"epochs": 2, "batch_size": 4},
        near_distance=0,
        guards=Guards(retained_accuracy_loss=1.0, test_accuracy_loss=1.0, attack=None),
    )
    start(tmp_path / "deletion", settings, runs.Architecture(**built).build(), _load(choice))
    return tmp_path / "deletion", place


def _load(choice):
    return datasets.load(choice.name, size=choice.size)


def test_files_may_be_deleted_once_their_images_are_forgotten(photos):
    workspace, place = photos
    workspaces.ask(workspace, "cat/0.png")
    run(workspace)
    (place / "train" / "cat" / "0.png").unlink()
    workspaces.ask(workspace, "dog/1.png")
    made = run(workspace).run
    assert made.record["images"]["forget"] == 1
    assert made.record["images"]["gone_from_the_data"] == 1
    with opened(workspace) as found:
        assert {*entries.forgotten(found.db)} == {"cat/0.png", "dog/1.png"}


def test_files_are_needed_until_their_images_are_forgotten_but_not_to_retrain(photos):
    workspace, place = photos
    workspaces.ask(workspace, "cat/0.png", "dog/1.png")
    (place / "train" / "cat" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"cat/0\.png are not there any more; put them back"):
        run(workspace)
    assert run(workspace, retrain=True).run.state == "served"


def test_files_with_other_pixels_than_asked_for_are_refused(photos):
    workspace, place = photos
    workspaces.ask(workspace, "cat/0.png")
    file = place / "train" / "cat" / "0.png"
    file.write_bytes((place / "test" / "cat" / "0.png").read_bytes())
    with pytest.raises(ValueError, match=r"cat/0\.png have other pixels"):
        run(workspace)


def accuracy(workspace, images):
    """Of the served model, on training images of ``mislabelled``."""
    split = plan.load_data(_settings(workspace)).train
    at = torch.tensor([split.official.ids.tolist().index(int(i)) for i in images])
    model = runs.read(workspace / "current").model()
    with torch.no_grad():
        right = model(split.inputs(split.images[at])).argmax(dim=1) == split.labels[at]
    return float(right.float().mean())


def _settings(workspace):
    with opened(workspace) as found:
        return found.settings


@pytest.fixture
def by_heart(tmp_path):
    """A workspace around a model that knows 30 wrong labels by heart."""
    data = mislabelled.data()
    choice = DataChoice(name="python:mislabelled:data", root=os.path.dirname(mislabelled.__file__))
    settings = replace(
        workspaces.SETTINGS,
        data=choice,
        method=MethodChoice(name="scrub", settings={"epochs": 8, "max_steps": 6}),
        guards=Guards(retained_accuracy_loss=1.0, test_accuracy_loss=1.0, attack=None),
        near_distance=0,
    )
    recipe = Recipe(epochs=25, batch_size=32)
    model = runs.Architecture(**settings.architecture).build(seed=1)
    start(
        tmp_path / "deletion",
        settings,
        train(model, data.train, recipe, progress=False).model,
        data,
    )
    return tmp_path / "deletion"


def test_over_ten_requests_nothing_comes_back(by_heart, monkeypatch):
    wrong = [str(i) for i in mislabelled.data().train.official.ids[: mislabelled.COUNT].tolist()]
    asked = [wrong[at : at + 3] for at in range(0, 30, 3)]
    assert accuracy(by_heart, asked[0]) == 1
    for number, images in enumerate(asked, 1):
        workspaces.ask(by_heart, *images)
        record = run(by_heart).run.record
        assert record["images"]["forget"] == 3 * number
        assert len(record["of_requests"]) == number
        assert record["of_requests"]["1"]["after"]["accuracy"] <= 0.67
    first = record["of_requests"]["1"]["after"]["accuracy"]
    assert accuracy(by_heart, asked[0]) == pytest.approx(first, abs=1e-6)
    known = accuracy(by_heart, wrong)
    assert known <= 0.5
    rows = record["drift"]["measures"]
    assert rows["test_accuracy"]["loss"] == pytest.approx(
        rows["test_accuracy"]["first"] - rows["test_accuracy"]["now"]
    )
    # a run that forgets its own images alone teaches the earlier ones again: the test can tell
    workspaces.ask(by_heart, *workspaces.ids()[100:103])
    with opened(by_heart, alone=True) as found, monkeypatch.context() as patch:
        patch.setattr(entries, "forgotten", lambda db: {})
        serve(found)
    assert accuracy(by_heart, wrong) >= known + 0.25


def test_unseen_and_test_images_that_are_asked_for_are_not_used_any_more(workspace):
    data = workspaces.data()
    unseen, test = (str(part.official.ids.tolist()[0]) for part in (data.unseen, data.test))
    workspaces.ask(workspace, unseen, near=False)
    workspaces.ask(workspace, workspaces.ids()[0], test, near=False)
    counts = run(workspace).run.record["images"]
    assert counts["unseen"] == len(data.unseen) - 1
    assert counts["test"] == len(data.test) - 1


def test_drift_beyond_its_limit_recommends_retraining(workspace):
    lax = {"retained_accuracy_loss": 1.0, "test_accuracy_loss": 1.0, "attack": None}
    ruin = {"name": "finetune", "settings": {"epochs": 1, "learning_rate": 30.0}}
    changed(workspace, method=ruin, guards=lax)
    workspaces.ask(workspace, workspaces.ids()[0])
    found = run(workspace).run.record["drift"]
    assert found["recommends_retraining"]
    assert found["measures"]["test_accuracy"]["loss"] > 0.03


def test_the_history_of_a_run_is_in_the_order_of_the_writes(workspace):
    workspaces.ask(workspace, workspaces.ids()[0])
    run(workspace)
    with opened(workspace) as found:
        rows = [(e.request, e.run, e.state) for e in ledger.events(found.db)]
        assert served_run(found).number == 1
    assert rows == [
        (None, 0, "original"),
        (1, None, "pending"),
        (None, 1, "prepared"),
        (None, 1, "served"),
        (1, 1, "served"),
    ]


def test_warnings_about_the_data_are_told(workspace, monkeypatch):
    real = plan.Splits.from_ids

    def warned(*args, **options):
        warnings.warn("2 retained images are copies", stacklevel=1)
        return real(*args, **options)

    monkeypatch.setattr(plan.Splits, "from_ids", warned)
    workspaces.ask(workspace, workspaces.ids()[0])
    assert run(workspace).warnings == ["2 retained images are copies"]
