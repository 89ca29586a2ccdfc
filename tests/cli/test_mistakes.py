"""What a user gets wrong is said in words, before any work where that is possible."""

import shlex
import sys
from pathlib import Path

import pytest
import torch
from few_digits import IDS, SMALL

from lotus_unlearning import runs
from lotus_unlearning.cli import main, mistakes, options
from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.presets import PRESETS

ONE = [*SMALL[:2], "--recipe.epochs", "1"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


def told(words, capsys):
    """The message, of two lines at most, of a command that fails."""
    status = main(words)
    shown = capsys.readouterr().err
    assert status in (1, 2)
    assert "Traceback" not in shown
    assert "\x1b" not in shown
    return shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--modle", "x"], "expected options of this command, got --modle; did you mean "),
        (["demo", "--method.alhpa", "3"], "did you mean '--method.alpha'?"),
        (["demo", "--alpha", "3"], "did you mean '--method.alpha'?"),
        (["train", "--batch_size", "3"], "did you mean '--recipe.batch_size'?"),
        (["evaluate", "--batch_size", "3"], "got --batch_size"),
        (["train", "--recipe.epochs", "x"], "recipe.epochs: expected a whole number, got x"),
        (["train", "--limit", "some"], "limit: expected a whole number or null, got some"),
        (["train", "--pretrained", "maybe"], "pretrained: expected true or false, got maybe"),
        (["train", "--seed"], "argument --seed: expected one argument"),
        (["unlearn"], "expected --model, got none"),
        (["train", "digits"], "expected options that begin with --, got 'digits'"),
        (["train", "--limi", "5"], "did you mean '--limit'?"),
        (["train", "--epohcs", "5"], "did you mean '--recipe.epochs'?"),
        (["unlearn", "--epohcs", "5"], "did you mean '--method.epochs'?"),
    ],
)
def test_a_command_line_that_cannot_be_read_gets_two_lines(words, message, capsys):
    shown = told(words, capsys)
    assert message in shown
    assert shown.endswith(f"\nlotus {words[0]} --help tells its options\n")
    assert len(shown.splitlines()) == 2


def test_options_may_be_spelt_with_hyphens(tmp_path):
    words = ["--limit", "100", "--recipe.batch-size=25", "--recipe.epochs", "1", "--data-seed", "3"]
    assert main(["train", *words, "--out", "with-hyphens"]) == 0
    config = runs.read("with-hyphens").config
    assert (config["recipe"]["batch_size"], config["data_seed"]) == (25, 3)


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--batch_size", "0"], ["batch_size: expected at least 1, got 0"]),
        (["--device", "meta"], ["device: expected one of auto, cpu", 'got "meta"']),
        (["--device", "gpu"], ['got "gpu"']),
        (["--device", "cuda:99"], ['got "cuda:99"']),
        (["--seed", "-1", "--forget_seed", str(2**63)], ["2 problems:\n- seed: ", "- forget_seed"]),
        (["--precision", "half"], ["precision: expected auto, float32, bfloat16, float64"]),
    ],
)
def test_what_the_last_step_needs_is_looked_at_before_the_first(
    words, messages, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr("lotus_unlearning.cli.demo.train", lambda *_, **__: pytest.fail("trained"))
    shown = told(["demo", *ONE, *words], capsys)
    assert all(message in shown for message in messages)
    assert not list(tmp_path.iterdir())


def test_a_demo_of_one_epoch_with_patience_runs():
    words = ["--recipe.patience", "1", "--method.epochs", "1", "--out", "out"]
    assert main(["demo", *ONE, *words]) == 0
    for part in ("original", "gold"):
        assert "held_out_loss" in runs.read(f"out/{part}").history[0]


@pytest.mark.parametrize(
    ("what", "name", "known", "hint"),
    [
        ("method", "SCRUBB", METHODS, "did you mean 'scrub'?"),
        ("preset", "Demo", PRESETS, "did you mean 'demo'?"),
        ("thing", "x", [], "thing: expected none, as there are none; got 'x'"),
        ("class", "dog", ["Dog", "Cat"], "did you mean 'Dog'?"),
    ],
)
def test_hints_do_not_mind_capitals(what, name, known, hint):
    assert hint in options.unknown(what, name, known)


def test_a_preset_without_the_method_names_those_with_it(capsys):
    shown = told(["demo", "--method", "scrub", "--preset", "demo"], capsys)
    assert "preset: expected one with settings for scrub (scrub-cifar-10, " in shown
    assert "got 'demo', which has some for lotus" in shown


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def make():\n    return {}['x']\n",
            "KeyError: 'x' (",
        ),
        ("def make():\n    raise ValueError('no such table')\n", "ValueError: no such table ("),
        ("def make(:\n", "SyntaxError: "),
        ("import torch\ntorch.zeros(2) + torch.zeros(3)\n", "RuntimeError: The size of tensor a"),
    ],
)
def test_errors_in_the_users_own_code_name_its_file_and_line(tmp_path, capsys, code, message):
    (tmp_path / "ownfault.py").write_text(code)
    shown = told(["train", "--data", "python:ownfault:make"], capsys)
    sys.modules.pop("ownfault", None)
    assert message in shown
    line = 1 if "make(:" in code else 2
    assert f"{tmp_path / 'ownfault.py'}, line {line})" in shown


def test_errors_of_the_package_itself_keep_their_traceback(monkeypatch):
    def broken(*_, **__):
        return {}["x"]

    monkeypatch.setattr("lotus_unlearning.cli.train._train", broken)
    monkeypatch.setattr(mistakes, "_in_code_of_the_user", lambda _: None)
    with pytest.raises(KeyError):
        main(["train", *ONE])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 TB"),
    ],
)
def test_too_little_memory_is_said_with_what_helps(error, monkeypatch, capsys):
    def full(*_, **__):
        raise error

    monkeypatch.setattr("lotus_unlearning.cli.train.train", full)
    shown = told(["train", *ONE], capsys)
    assert "lotus train: out of memory" in shown
    assert shown.count("out of memory") == 1
    assert "try a smaller --batch_size" in shown


def test_text_in_the_place_of_weights_is_refused(tmp_path, capsys):
    (tmp_path / "log.pt").write_text("epoch,loss\n1,2\n")
    words = ["--architecture", "resnet-thin", "--data", "digits", "--forget", "0.1"]
    assert "expected a state dict" in told(["unlearn", "--model", "log.pt", *words], capsys)


def test_a_last_batch_of_one_image_joins_the_one_before():
    words = ["--limit", "129", "--recipe.batch_size", "32", "--recipe.epochs", "1"]
    assert main(["train", *words]) == 0


def test_one_image_that_cannot_be_learnt_from_alone_is_told_of(unlearn, capsys):
    assert unlearn("--forget", f"ids:{IDS[0]}", "--method", "scrub")[0] == 1
    assert "take a method that learns from forget and retain images" in capsys.readouterr().err
    assert unlearn("--forget", f"ids:{IDS[0]}", "--method.epochs", "1")[0] == 0


def test_a_class_is_forgotten_by_settings_that_do_so(unlearn, capsys):
    _, out = unlearn("--forget", "class:3")
    assert "settings of the preset authors-class, as a class is to be" in capsys.readouterr().err
    settings = runs.read(out).manifest["method"]["settings"]
    assert (settings["target_accuracy"], settings["alpha"]) == (0.0, 32.0)
    assert runs.read(out).config["preset"] == "authors-class"
    _, out = unlearn("--forget", "class:3", "--method.epochs", "1", out="explicit")
    assert "--preset authors-class (or --method.target_accuracy 0)" in capsys.readouterr().err
    assert runs.read(out).manifest["method"]["settings"]["target_accuracy"] is None


def test_the_demo_of_a_class_keeps_its_own_learning_rate():
    words = ["--forget", "class:3", "--out", "out"]
    assert main(["demo", *ONE, *words]) == 0
    settings = runs.read("out").manifest["method"]["settings"]
    assert (settings["target_accuracy"], settings["learning_rate"]) == (0.0, 1e-3)


def test_unlearning_that_changed_nothing_is_said_and_written_down(unlearn, capsys):
    status, out = unlearn("--method.target_accuracy", "1")
    assert status == 0
    said = "Unlearning changed nothing: it stopped in epoch 0, as accuracy on forget images ("
    assert said in capsys.readouterr().err
    assert runs.read(out).manifest["unchanged"].startswith(said)
    _, out = unlearn("--method", "finetune", "--method.epochs", "1", out="changed")
    assert runs.read(out).manifest["unchanged"] is None


def test_an_understudy_that_was_hardly_trained_is_said_to_be(unlearn, capsys):
    quick = ["--method", "understudy", "--method.least_steps", "0", "--method.epochs", "1"]
    status, out = unlearn(*quick, "--method.recipe.learning_rate", "1e-6")
    assert status == 0
    assert "% of the forget images, the original is on" in capsys.readouterr().err
    assert "was right on" in (Path(out) / "report.html").read_text("utf-8")
    unlearn("--method", "finetune", "--method.epochs", "1", out="other")
    assert "The understudy was" not in capsys.readouterr().err


def test_what_the_original_began_with_can_be_said(unlearn, monkeypatch):
    asked = []
    build = runs.Architecture.build

    def noted(self, *, pretrained=False, seed=0):
        asked.append(pretrained)
        return build(self, seed=seed)

    monkeypatch.setattr(runs.Architecture, "build", noted)
    quick = ["--method", "understudy", "--method.least_steps", "0", "--method.epochs", "1"]
    for words, begins in (((), False), (("--pretrained", "true"), True)):
        asked.clear()
        assert unlearn(*quick, *words, out=f"began-{begins}")[0] == 0
        assert (True in asked) is begins


QUICK = {
    "train": ["--recipe.epochs", "1"],
    "unlearn": ["--method.epochs", "1"],
    "demo": ["--recipe.epochs", "1", "--method.epochs", "1"],
    "tune": ["--recipe.epochs", "1", "--limit", "150", "--budget", "1", "--draws", "1"],
}


def test_the_limit_of_the_demo_is_in_its_help(capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    shown = "".join(capsys.readouterr().out.split())
    assert "(without:5,000offashion-mnist,5,000ofcifar-10,10,000ofcifar-100,all" in shown


@pytest.mark.parametrize("command", ["train", "unlearn", "evaluate", "report", "demo", "tune"])
def test_examples_run_as_they_are_typed(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out.partition("examples:")[2].partition("\n  with ")[0]
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    lines = [words[1:] for words in lines if words and "fashion-mnist" not in words]
    assert len(lines) >= 2
    for words in lines:
        assert main([*words, *([] if "--config" in words else QUICK.get(words[0], []))]) == 0
