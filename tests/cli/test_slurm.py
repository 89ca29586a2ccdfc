"""The job script of docs/many-processes.md, word by word, on two "machines" that are this one."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from lotus_unlearning import runs

PAGE = Path(__file__).parents[2] / "docs" / "many-processes.md"
SRUN = """#!/bin/sh
shift
"$@" & first=$!
"$@" & second=$!
wait $first && wait $second
"""
SCONTROL = """#!/bin/sh
printf 'localhost\\nlocalhost\\n'
"""
JOB = """
data: digits
limit: 100
recipe: {epochs: 1, batch_size: 32}
device: cpu
"""


def test_the_documented_job_trains_one_model_on_two_machines(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    (script,) = re.findall(r"<!-- slurm -->\n```bash\n(.*?)```", text, re.DOTALL)
    for name, program in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "job.yaml").write_text(JOB)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    slurm = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "node[1-2]"}
    path = os.pathsep.join((str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={
            **os.environ,
            **slurm,
            "PATH": path,
            "GPUS": "1",
            "PORT": str(port),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("trained in") == 1
    assert runs.read(tmp_path / "runs" / "original").manifest["processes"] == 2
