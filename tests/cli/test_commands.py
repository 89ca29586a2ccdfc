"""The commands, end to end, on 150 digits."""

import json
import subprocess
import sys

import pytest
import torch
import yaml
from few_digits import IDS, SMALL, same
from safetensors.torch import load_file

from lotus_unlearning import datasets, runs
from lotus_unlearning.cli import COMMANDS, main
from lotus_unlearning.methods import METHODS

FILES = {"config.yaml", "model.safetensors", "history.jsonl", "manifest.json"}


def test_train_writes_a_run_that_says_what_it_left_out(trained):
    for name, more in (("original", set()), ("gold", {"without.txt"})):
        assert {p.name for p in (trained / name).iterdir()} == FILES | more
    assert runs.read(trained / "original").manifest["left_out"] == []
    assert runs.read(trained / "gold").manifest["left_out"] == IDS


def test_unlearn_writes_a_run_with_its_page(unlearn, trained, capsys):
    status, out = unlearn("--method.alpha", "4", "--gold", str(trained / "gold"))
    assert status == 0
    assert {p.name for p in out.iterdir()} == FILES | {"metrics.json", "report.html", "forget.txt"}
    shown = capsys.readouterr()
    assert "| Accuracy on forget" in shown.out
    assert "JSD to gold" in shown.out
    assert "page:" in shown.err
    assert "\r" not in shown.err  # no progress bar where there is no terminal
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["forgotten"] == IDS
    assert manifest["method"]["settings"]["alpha"] == 4
    assert manifest["weights_sha256"] != manifest["weights_sha256_before"]
    before = runs.read(trained / "original").manifest["weights_sha256"]
    assert manifest["weights_sha256_before"] == before
    assert manifest["seconds"] > 0
    page = json.loads((out / "metrics.json").read_text())
    assert page["columns"] == ["original", "unlearned", "gold"]
    assert len((out / "history.jsonl").read_text().splitlines()) == len(page["history"])


def test_config_of_a_run_runs_it_again_to_the_same_bits(unlearn, tmp_path):
    _, out = unlearn("--method", "scrub", "--method.epochs", "2", "--seed", "3")
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["method"]["name"] == "scrub"
    assert config["data"] == "digits"
    again = tmp_path / "again"
    assert main(["unlearn", "--config", str(out / "config.yaml"), "--out", str(again)]) == 0
    assert same(out, again)


def test_the_command_line_overrides_the_config(unlearn, tmp_path):
    _, out = unlearn("--method.epochs", "2")
    other = tmp_path / "other"
    words = ["unlearn", "--config", str(out / "config.yaml"), "--method.epochs", "1"]
    assert main([*words, "--out", str(other)]) == 0
    assert yaml.safe_load((other / "config.yaml").read_text())["method"]["epochs"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_unlearns_by_every_method(unlearn, method):
    quick = {
        "retrain": ["--method.recipe.epochs", "2"],
        "unsir": [],
        "ssd": ["--method.alpha", "2"],
    }.get(method, ["--method.epochs", "1"])
    status, out = unlearn("--method", method, *quick)
    assert status == 0
    assert runs.read(out).manifest["method"]["name"] == METHODS[method].__name__


@pytest.mark.parametrize(
    ("preset", "method"), [("lotus-tables-resnet18", "neg-grad-plus"), ("demo", "lotus")]
)
def test_a_preset_sets_what_the_command_line_leaves_open(unlearn, preset, method):
    words = ["--method", method, "--preset", preset, "--method.epochs", "1"]
    _, out = unlearn(*words)
    from lotus_unlearning.methods.presets import PRESETS

    settings = runs.read(out).manifest["method"]["settings"]
    assert settings["epochs"] == 1
    assert settings["learning_rate"] == PRESETS[preset][method].learning_rate


@pytest.mark.parametrize("forget", ["0.2", "class:3"])
def test_forget_takes_a_share_or_a_class(trained, tmp_path, forget):
    words = ["unlearn", "--model", str(trained / "original"), "--forget", forget]
    out = tmp_path / "out"
    more = ["--method.epochs", "1", "--out", str(out)]
    assert main([*words, *more]) == 0
    forgotten = runs.read(out).manifest["forgotten"]
    assert len(forgotten) == (30 if forget == "0.2" else 15)


def test_a_foreign_checkpoint_with_its_architecture_is_taken(trained, tmp_path, capsys):
    weights = load_file(trained / "original" / "model.safetensors")
    file = tmp_path / "mine.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}}, file)
    words = ["unlearn", "--model", str(file), "--forget", str(trained / "ids.txt")]
    data = ["--data", "digits", "--limit", "150", "--method.epochs", "1"]
    out = ["--out", str(tmp_path / "out")]
    assert main([*words, *data, *out]) == 1
    assert "pass --architecture" in capsys.readouterr().err
    assert main([*words, *out, "--architecture", "resnet-thin"]) == 1
    assert "pass --data" in capsys.readouterr().err
    assert main([*words, *data, *out, "--architecture", "resnet-thin"]) == 0


def test_evaluate_compares_runs(trained, unlearn, tmp_path, capsys):
    _, out = unlearn()
    capsys.readouterr()
    words = ["evaluate", "--unlearned", str(out), "--original", str(trained / "original")]
    to = tmp_path / "evaluation"
    assert main([*words, "--gold", str(trained / "gold"), "--out", str(to)]) == 0
    table = capsys.readouterr().out
    page = json.loads((to / "metrics.json").read_text())
    assert page["columns"] == ["original", "unlearned", "gold"]
    assert "RF-JSD" in table
    direct = json.loads((out / "metrics.json").read_text())
    rows = [{r["measure"]: r["values"]["unlearned"] for r in p["table"]} for p in (page, direct)]
    assert rows[0]["forget_accuracy"] == rows[1]["forget_accuracy"]


def test_report_writes_the_page_again(unlearn, tmp_path):
    _, out = unlearn("--method.epochs", "1")
    page = tmp_path / "page.html"
    assert main(["report", str(out), "--out", str(page)]) == 0
    assert page.read_text() == (out / "report.html").read_text()


def test_a_model_trained_on_forget_images_is_refused_as_gold(unlearn, trained, capsys):
    status, out = unlearn("--gold", str(trained / "original"))
    assert status == 1
    assert "was trained on 15 of them" in capsys.readouterr().err
    assert not out.exists()


def test_changed_weights_are_noticed(trained, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(trained / "original", copy)
    shutil.copy(trained / "gold" / "model.safetensors", copy)
    words = ["unlearn", "--model", str(copy), "--forget", "0.1", "--out", str(tmp_path / "o")]
    assert main(words) == 1
    assert "model.safetensors was changed after the run" in capsys.readouterr().err


def test_a_folder_that_holds_something_is_not_written_to(unlearn, capsys):
    unlearn("--method.epochs", "1")
    status, out = unlearn("--method.epochs", "1", "--seed", "9")
    assert status == 1
    assert "holds something already" in capsys.readouterr().err
    assert runs.read(out).manifest["seed"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unlern"], "did you mean 'unlearn'?"),
        (["list", "method"], "did you mean 'methods'?"),
        (["unlearn", "--method", "scrubb", "--model", "x"], "did you mean 'scrub'?"),
        (["demo", "--preset", "dem"], "did you mean 'demo'?"),
        (["train", "--data", "fashon-mnist"], "did you mean 'fashion-mnist'?"),
        (["train", "--model", "resnet81"], "did you mean 'resnet18'?"),
        (["unlearn", "--model", "nowhere", "--forget", "0.1"], "expected a run folder"),
        (["unlearn", "--model", "a.pt", "--forget", "0.1"], "a file of weights at 'a.pt', found"),
        (["report", "nowhere"], "expected a folder with metrics.json"),
        (["demo", "--forget", "class:eleven"], "forget: class: expected one of 0, 1"),
        (["demo", "--forget", "2.5"], "a share between 0 and 1, got 2.5"),
        (["demo", "--forget", "gone.txt"], "there is no such file"),
        (["train", "--without", "gone.txt"], "lotus train: without: expected a file of ids"),
        (["train", "--without", "ids:9999"], "without: expected official ids 0..1796, got 1 out"),
        (["demo", "--method.epochs", "0"], "epochs >= 1"),
        (["demo", "--config", "gone.yaml"], "expected a YAML file at 'gone.yaml': No such file"),
    ],
)
def test_mistakes_get_one_clear_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) in (1, 2)
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [c for c in COMMANDS])
def test_help_has_examples_line_by_line(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert f"\n  lotus {command}" in text[text.index("examples:") :]


def test_list_names_methods_metrics_data_and_models(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("lotus:", "scrub:", "rf_js_divergence:", "digits:", "resnet18:", "timm:NAME:"):
        assert f"\n{name}" in text


def test_demo_in_a_fresh_process_prints_the_comparison_and_writes_the_page(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lotus_unlearning", "demo", *SMALL, "--method.epochs", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for row in ("forget", "retain", "unseen", "test"):
        assert f"Accuracy on {row}" in done.stdout
    assert "RF-JSD" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("what happened: of 14 images to forget, the original gives ")
    assert "the distance to gold (JSD) went from " in last
    manifest = runs.read(tmp_path / "runs/demo").manifest
    assert manifest["forgotten"] == datasets.load("digits-mislabelled", limit=150).forget.tolist()
    assert manifest["method"]["settings"]["target_accuracy"] == 0
    assert "it says nothing about forgetting" in (tmp_path / "runs/demo/report.html").read_text()
    assert (tmp_path / "runs/demo/report.html").is_file()
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"demo"}


def test_a_demo_of_other_data_draws_what_it_forgets(tmp_path):
    words = [
        "demo",
        "--data",
        "digits",
        *SMALL,
        "--method.epochs",
        "1",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(words) == 0
    made = runs.read(tmp_path / "o")
    assert len(made.manifest["forgotten"]) == 15
    assert made.manifest["method"]["settings"]["target_accuracy"] is None
    assert "says nothing about forgetting" not in (tmp_path / "o" / "report.html").read_text()


def test_ctrl_c_leaves_no_file_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lotus_unlearning.files.folders.os.replace", interrupted)
    assert main(["train", *SMALL]) == 130
    assert "The same command starts again" in capsys.readouterr().err
    assert list((tmp_path / "runs").iterdir()) == []
