"""``lotus request``, from a trained model to a verified record."""

import json
from pathlib import Path

import pytest
import yaml

from lotus_unlearning import datasets, runs
from lotus_unlearning.cli import main
from lotus_unlearning.requests import settings
from lotus_unlearning.requests.signing import key_fingerprint

IDS = [str(i) for i in datasets.load("digits", limit=150).train.official.ids.tolist()]
QUICK = ["--method", "finetune", "--method.epochs", "1", "--method.learning_rate", "0.001"]
LAX = ["--guards.retained_accuracy_loss", "1", "--guards.test_accuracy_loss", "1"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    place = tmp_path_factory.mktemp("request")
    recipe = ["--recipe.epochs", "3", "--recipe.batch_size", "32"]
    out = ["--out", str(place / "original")]
    assert main(["train", "--data", "digits", "--limit", "150", *recipe, *out]) == 0
    return place / "original"


@pytest.fixture
def request_(original, tmp_path, monkeypatch):
    """Runs ``lotus request ACTION ...`` in a folder with a workspace."""
    monkeypatch.chdir(tmp_path)
    assert main(["request", "init", "--model", str(original), *QUICK, *LAX]) == 0
    return lambda *words: main(["request", *words])


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A model that has learned its images, as one that is served has."""
    out = tmp_path_factory.mktemp("learned") / "original"
    recipe = ["--recipe.epochs", "12", "--recipe.batch_size", "32"]
    assert main(["train", "--data", "digits", "--limit", "400", *recipe, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize(
    ("how", "method", "golds", "verdict"),
    [
        ([], "LoTUS", 8, "indistinguishable from retraining at the tested power"),
        (["--retrain"], "Retrain", 4, "not enough gold models to say"),
    ],
)
def test_from_a_request_to_an_audited_and_verified_record(
    learned, how, method, golds, verdict, capsys, tmp_path, monkeypatch
):
    """With all that a new workspace has by itself: method, guard rails, limits of drift."""
    monkeypatch.chdir(tmp_path)
    audit = ["--audit_level", "1", "--audit_golds", str(golds)]
    assert main(["request", "init", "--model", str(learned), *audit]) == 0
    capsys.readouterr()

    def request_(*words):
        return main(["request", *words])

    fingerprint = key_fingerprint((tmp_path / "deletion/keys/public.pem").read_bytes())
    known = datasets.load("digits", limit=400).train.official.ids.tolist()
    asked = [str(i) for i in known[:20]]
    assert request_("add", "--ids", *asked, "--reference", "ticket-1", "--only") == 0
    assert "request 1, due" in capsys.readouterr().out
    assert request_("list") == 0
    shown = capsys.readouterr()
    assert "ticket-1" in shown.out
    assert "pending: 1" in shown.err
    assert request_("run", *how) == 0
    shown = capsys.readouterr()
    assert "served: request 1; the model is deletion/current" in shown.out
    assert "ok  accuracy on test kept" in shown.out
    assert "ok  audit" in shown.out
    assert f"audit: {golds} of {golds} gold models" in shown.err
    assert "models before, which still know them" in shown.err
    assert request_("show", "1") == 0
    assert "The request was served by run 1." in capsys.readouterr().out
    assert request_("export", "1", "--out", "record") == 0
    assert capsys.readouterr().out.strip() == "record"
    assert request_("verify", "record", "--key", "deletion/keys/public.pem") == 0
    assert f"key: {fingerprint}" in capsys.readouterr().out
    assert runs.read("deletion/current").model() is not None
    record = json.loads(Path("record/record.json").read_text("utf-8"))
    assert [image["image"] for image in record["images"][:20]] == asked
    assert record["run"]["method"]["name"] == method
    assert record["audit"]["facts"]["level"] == 1
    assert record["audit"]["facts"]["golds"] == golds
    assert record["audit"]["facts"]["outcome"] == verdict
    assert record["audit"]["facts"]["self_test"]["held_out"]["golds"] == golds
    assert not any("No audit" in sentence for sentence in record["limits"])
    assert "Test of the yardstick itself" in Path("record/record.html").read_text("utf-8")
    page = tmp_path / "record" / "record.html"
    page.write_text(page.read_text("utf-8").replace("served", "done"), "utf-8")
    assert request_("verify", "record") == 1
    assert "record.html: was changed after it was signed" in capsys.readouterr().err


def test_json_for_machines(request_, capsys):
    request_("add", "--ids", IDS[0], "--due", "2999-01-01")
    capsys.readouterr()
    request_("list", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["requests"][0]["images"][0]["image"] == IDS[0]
    assert found["served"]["number"] == 0
    request_("show", "1", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["request"]["due"] == "2999-01-01"
    assert [row["state"] for row in shown["history"]] == ["pending"]
    assert shown["run"] is None


def test_the_settings_are_those_of_the_models_own_run_unless_told(request_, original):
    values = yaml.safe_load(_path("deletion").read_text())
    trained = runs.read(original).config
    assert values["data"]["limit"] == 150
    assert values["recipe"] == trained["recipe"]
    assert values["method"]["name"] == "finetune"
    assert values["method"]["settings"]["learning_rate"] == 0.001
    words = ["init", "--workspace", "other", "--model", str(original), "--recipe.epochs", "2"]
    words += ["--audit_put_back", "5", "20"]
    assert request_(*words, "--method", "retrain", "--method.recipe.epochs", "1") == 0
    other = settings.read(_path("other"))
    assert other.recipe["epochs"] == 2
    assert other.audit_put_back == [5, 20]
    assert other.recipe["batch_size"] == 32
    assert other.method.settings["recipe.epochs"] == 1


def _path(workspace):
    return Path(workspace) / "lotus.yaml"


def test_a_model_that_is_kept_from_being_served_ends_with_1_and_the_reason(request_, capsys):
    values = yaml.safe_load(_path("deletion").read_text())
    values["method"]["settings"]["learning_rate"] = 30.0
    values["guards"] = {"test_accuracy_loss": 0.0, "attack": None}
    _path("deletion").write_text(yaml.safe_dump(values))
    request_("add", "--ids", IDS[0], IDS[1], "--only")
    assert request_("run") == 1
    shown = capsys.readouterr()
    assert "NOT accuracy on test lost too much" in shown.out
    assert "the model before is still served and the requests stay pending" in shown.err
    assert request_("run", "--retrain") in (0, 1)


def test_what_was_never_trained_on_is_refused_in_words(request_, capsys):
    unseen = str(datasets.load("digits", limit=150).unseen.official.ids.tolist()[0])
    assert request_("add", "--ids", unseen, "--only") == 0
    shown = capsys.readouterr().out
    assert f"{unseen}: never trained on (held as unseen image)" in shown
    assert "The request was refused. None of these images was trained on." in shown


def test_names_of_files_and_folders_cannot_steer_the_terminal(request_, capsys, tmp_path):
    name = "\x1b[2Jpassed\u202e.png"
    (tmp_path / name).write_text("no image")
    assert request_("add", "--images", name) == 1
    assert request_("verify", name) == 1
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err


def test_closing_a_request(request_, capsys):
    request_("add", "--ids", IDS[0], "--only")
    request_("add", "--ids", IDS[1], "--only")
    assert request_("withdraw", "1", "--reason", "taken back") == 0
    assert request_("refuse", "2", "--reason", "not the person's images") == 0
    assert "The request was refused. Not the person's images." in capsys.readouterr().out
    assert request_("run") == 0
    assert "no request is pending" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ad"], "did you mean 'add'?"),
        (["add", "--ids", "9999"], "expected ids 0..1796, got 1 that are not known: 9999"),
        (["add"], "expected at least one image"),
        (["add", "--ids", IDS[0], "--include-near", "--only"], "got both"),
        (["add", "--ids", IDS[0], "--due", "soon"], "due: expected a date"),
        (["add", "--ids", IDS[0], "--received", "2020-01-01"], "due: 2020-01-29 is in the past"),
        (["show", "7"], "expected the id of one (none yet"),
        (["show", "one"], "expected a whole number"),
        (["show"], "got none"),
        (["withdraw", "1"], "expected --reason"),
        (["list", "--workspace", "nowhere"], "expected a folder made by lotus request init"),
        (["verify", "nowhere"], "expected a folder made by lotus request export"),
        (["init", "--model", "nowhere", "--workspace", "other"], "expected a run folder"),
        (["add", "--referense", "x"], "did you mean '--reference'?"),
    ],
)
def test_mistakes_get_one_clear_line(request_, words, message, capsys):
    status = request_(*words)
    assert status in (1, 2) or "in the past" in message
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown


def test_a_workspace_is_made_once(request_, original, capsys):
    assert request_("init", "--model", str(original)) == 1
    assert "holds something already" in capsys.readouterr().err


def test_a_model_that_does_without_some_images_is_refused(request_, original, capsys, tmp_path):
    without = ["--without", f"ids:{IDS[0]},{IDS[1]}", "--recipe.epochs", "1"]
    gold = ["--recipe.warmup_epochs", "0", "--out", str(tmp_path / "gold")]
    assert main(["train", "--data", "digits", "--limit", "150", *without, *gold]) == 0
    words = ["init", "--model", str(tmp_path / "gold"), "--workspace", "other"]
    assert request_(*words) == 1
    assert "does without 2 of them" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("action", ["init", "add", "list", "show", "run", "export", "verify"])
def test_every_action_has_help_with_examples(action, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["request", action, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"\n  lotus request {action}" in text[text.index("examples:") :]
