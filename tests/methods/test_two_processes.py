import os
import subprocess
import sys
from pathlib import Path

import pytest
from contract import ROWS
from safetensors.torch import load_file
from two_processes import weights

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Weights of every method, on one process and on two."""
    file = tmp_path_factory.mktemp("two") / "weights.safetensors"
    paths = os.pathsep.join(map(str, (HERE, HERE.parent)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, "--standalone", str(HERE / "two_processes.py"), str(file)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return weights(), load_file(file)


@pytest.mark.parametrize("name", ROWS)
def test_one_and_two_processes_agree(name, both):
    one, two = both
    mine = [key for key in one if key.startswith(f"{name}.")]
    assert mine
    for key in mine:
        assert (one[key] - two[key]).abs().max() <= 1e-7, key
