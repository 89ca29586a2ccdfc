"""Finished cells logged to an MLflow server, beside their files."""

import json
from typing import Any

from lotus_unlearning.benchmark.canonical import canonical
from lotus_unlearning.benchmark.cells import Cell, Unlearning, title
from lotus_unlearning.jobs.job import Made
from lotus_unlearning.jobs.schedule import Progress, Watcher

EXPERIMENT = "lotus-unlearning"


def tracker(name: str) -> Watcher[Cell]:
    """A watcher that logs each finished or failed cell as a run.

    The server is the one that ``MLFLOW_TRACKING_URI`` names, as everywhere in MLflow; without it,
    MLflow writes into the working folder. Cells that were finished before are not logged again.

    Args:
        name: The name of the service: ``"mlflow"``.

    Raises:
        ValueError: If the name is another, MLflow is not installed, or its server does not answer.
    """
    if name != "mlflow":
        raise ValueError(f"track: expected mlflow, got {name!r}")
    try:
        import mlflow
    except ImportError:
        raise ValueError(
            "track: expected MLflow; install it with pip install 'lotus-unlearning[tracking]'"
        ) from None
    try:
        mlflow.set_experiment(EXPERIMENT)
    except Exception as error:  # of many kinds, from the network up
        raise ValueError(
            f"track: expected an MLflow server at {mlflow.get_tracking_uri()}: {error}"
        ) from None

    def watch(progress: Progress[Cell], cell: Cell | None, made: Made | None) -> None:
        """Log a cell that is done."""
        if cell is None:
            return
        with mlflow.start_run(run_name=title(cell)):
            mlflow.set_tags({"cell": cell.key, "kind": type(cell).__name__})
            mlflow.log_params(_parameters(cell))
            if made is None:
                mlflow.set_tag("error", progress.failed[cell])
                mlflow.end_run("FAILED")
            else:
                mlflow.log_metrics(_numbers(made.record))

    return watch


def _parameters(cell: Cell) -> dict[str, str]:
    """The cell's own settings, flat; those at their defaults are left out."""
    parts = {key: value for key, value in canonical(cell).items() if key != "golds"}
    if isinstance(cell, Unlearning):
        parts |= {f"method.{key}": value for key, value in parts.pop("method").items()}
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in parts.items()
    }


def _numbers(record: dict[str, Any]) -> dict[str, float]:
    costs = {key: record.get(key) for key in ("seconds", "peak_memory_bytes", "cell_seconds")}
    known = {**record.get("values", {}), **costs}
    return {key: float(value) for key, value in known.items() if value is not None}
