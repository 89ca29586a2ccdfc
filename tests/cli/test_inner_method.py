"""SalUn's ``inner``: another method, with settings of its own."""

import pytest
import yaml
from few_digits import same


def settings(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())["method"]["inner"]


def test_an_inner_method_with_its_settings_runs_again_from_the_config(unlearn, trained):
    words = ["--method", "salun", "--method.inner", "finetune", "--method.inner.epochs", "2"]
    assert unlearn(*words)[0] == 0
    status, folder = unlearn(*words[2:], "--method=salun", out="other-order")
    assert status == 0
    assert settings(folder)["name"] == "finetune"
    assert settings(folder)["epochs"] == 2
    status, again = unlearn("--config", str(folder / "config.yaml"), out="again")
    assert status == 0
    assert same(folder, again)
    status, other = unlearn("--method", "salun", "--method.inner", "finetune", out="other")
    assert not same(folder, other)


def test_a_config_may_hold_the_name_alone(unlearn, tmp_path):
    (tmp_path / "c.yaml").write_text("method: {name: salun, inner: lotus}")
    status, folder = unlearn("--config", str(tmp_path / "c.yaml"))
    assert status == 0
    assert settings(folder)["name"] == "lotus"
    status, other = unlearn("--method", "salun", "--method.inner", "lotus", out="other")
    assert status == 0
    assert same(folder, other)


def test_none_is_random_labels(unlearn, tmp_path):
    (tmp_path / "c.yaml").write_text("method: {name: salun, epochs: 1, inner: null}")
    status, folder = unlearn("--config", str(tmp_path / "c.yaml"))
    assert status == 0
    assert not (settings(folder) or {}).get("name")


def test_a_preset_of_the_inner_method_counts(unlearn):
    words = ["--method", "salun", "--method.inner", "lotus", "--preset", "demo"]
    status, folder = unlearn(*words, "--method.inner.epochs", "2")
    assert status == 0
    assert settings(folder)["alpha"] == 8.0
    assert settings(folder)["epochs"] == 2


def test_a_preset_of_the_mask_counts_without_what_only_random_labels_read(unlearn):
    words = ["--method", "salun", "--method.inner", "finetune", "--method.inner.epochs", "1"]
    status, folder = unlearn(*words, "--preset", "lotus-tables-resnet18")
    assert status == 0
    found = yaml.safe_load((folder / "config.yaml").read_text())["method"]
    assert (found["share"], found["batch_size"], found["learning_rate"]) == (0.1, 128, 0.013)
    assert found["inner"]["learning_rate"] == 1e-3


def test_another_inner_method_takes_no_settings_of_the_one_in_the_config(unlearn, tmp_path, capsys):
    inner = "{name: lotus, alpha: 3.0, epochs: 7}"
    (tmp_path / "c.yaml").write_text(f"method: {{name: salun, inner: {inner}}}")
    config = ["--config", str(tmp_path / "c.yaml")]
    status, folder = unlearn(*config, "--method.inner", "finetune")
    assert status == 0
    assert settings(folder)["epochs"] == 10
    assert "finetune in the place of lotus" in capsys.readouterr().err
    status, folder = unlearn(*config, "--method.inner", "null", "--method.epochs", "1", out="none")
    assert status == 0
    assert not (settings(folder) or {}).get("name")


@pytest.mark.parametrize("method", ["[1]", "{name: salun, inner: [lotus]}", "{name: [a]}"])
def test_what_is_no_method_is_told(method, unlearn, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(f"method: {method}")
    status, folder = unlearn("--config", str(tmp_path / "c.yaml"))
    assert status in (1, 2)
    assert "method" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize("method", ['"finetune"', '{"name": "salun", "inner": "finetune"}', "null"])
def test_a_config_in_words(method, unlearn):
    status, _ = unlearn(f'--config={{"method": {method}}}')
    assert status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method.inner", "lotsu"], "got 'lotsu'; did you mean 'lotus'"),
        (["--method.inner", "lotus", "--method.epochs", "3"], "expected no epochs beside inner"),
        (["--method.inner", "salun"], "expected inner other than SalUn"),
        (["--method.inner", "lotus", "--method.inner.epohcs", "3"], "method.inner.epochs"),
        (["--method.inner", "lotus", "--preset", "scrub-cifar-10"], "settings for salun"),
    ],
)
def test_mistakes_are_told(words, message, unlearn, capsys):
    status, folder = unlearn("--method", "salun", *words)
    assert status in (1, 2)
    assert message in capsys.readouterr().err
    assert not folder.exists()
