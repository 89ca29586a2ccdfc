import subprocess
import sys

import pytest

import lotus_unlearning

HEAVY = {
    "torchvision", "timm", "sklearn", "scipy", "matplotlib", "accelerate", "pandas", "jinja2",
    "jsonargparse", "mlflow", "ray", "optuna",
}  # fmt: skip


def _loaded(statement):
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_nothing_heavy():
    assert not _loaded("import lotus_unlearning") & {*HEAVY, "torch"}


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
