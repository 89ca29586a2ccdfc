"""Finished cells on a real MLflow server with SQLite behind it."""

import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from small import YAML, grid

from lotus_unlearning.benchmark.tracking import tracker
from lotus_unlearning.cli import main

mlflow = pytest.importorskip(
    "mlflow", reason="MLflow is an extra: pip install 'lotus-unlearning[tracking]'"
)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    words += ["--default-artifact-root", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/health", process, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(address, process, log):
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
    pytest.fail("no answer from MLflow: " + log.read_text()[-2000:])


def test_every_cell_becomes_a_run_with_its_settings_and_numbers(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    mlflow.set_tracking_uri(server)
    (tmp_path / "small.yaml").write_text(YAML)
    words = ["bench", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "r"), "--seeds", "1"]
    assert main([*words, "--track", "mlflow", "--device", "cpu"]) == 0
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name("lotus-unlearning")
    found = client.search_runs([experiment.experiment_id])
    cells = {cell.key: cell for cell in grid(tmp_path, seeds=1).cells()}
    assert cells.keys() < {run.data.tags["cell"] for run in found}
    assert len(found) == 7
    lotus = next(run for run in found if run.data.params.get("method.is") == "LoTUS")
    assert (
        lotus.info.run_name == "LoTUS forgets random 10% (seed 0), original 0, digits, resnet-thin"
    )
    assert 0 <= lotus.data.metrics["forget_accuracy"] <= 1
    assert lotus.data.metrics["seconds"] > 0


def test_an_unknown_tracker_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="expected mlflow, got 'wandb'"):
        tracker("wandb")
