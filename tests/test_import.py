import subprocess
import sys

import pytest

import lotus_unlearning

HEAVY = {
    "torchvision", "timm", "sklearn", "scipy", "matplotlib", "accelerate", "pandas", "jinja2",
    "jsonargparse", "mlflow", "ray", "optuna",
}  # fmt: skip


def _loaded(statement):
    code = f"{statement}; import sys; print('\\n', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_importing_the_package_loads_nothing_heavy():
    assert not _loaded("import lotus_unlearning") & {*HEAVY, "torch"}


@pytest.mark.parametrize("words", ["--help", "--version"])
def test_telling_the_commands_loads_next_to_nothing(words):
    loaded = _loaded(f"from lotus_unlearning.cli import main; main(['{words}'])")
    slow = {"torch", "numpy", "yaml", "PIL", "cryptography", "safetensors", "argparse", "inspect"}
    assert not loaded & {*HEAVY, *slow, "dataclasses", "asyncio", "subprocess", "json", "logging"}


def test_over_torch_the_package_loads_only_itself():
    known = _loaded("import torch")
    assert _loaded("import torch, lotus_unlearning") - known == {"lotus_unlearning"}
    more = _loaded("import torch; from lotus_unlearning import LoTUS, unlearn") - known
    assert more <= {"lotus_unlearning", "resource"}


def test_importing_what_unlearns_loads_torch_alone():
    loaded = _loaded("from lotus_unlearning import LoTUS, Splits, unlearn")
    assert "torch" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", lotus_unlearning.__all__)
def test_every_public_name_loads(name):
    assert getattr(lotus_unlearning, name).__doc__ or name.isupper()


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'Lotus'"):
        lotus_unlearning.Lotus  # noqa: B018
