"""Cells on a Ray cluster: many machines, a lost one's cells run again on another.

Every machine needs this package and the data sets; results travel back to the process that
started the benchmark, which alone writes files.
"""

import socket
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from lotus_unlearning.benchmark import preflight
from lotus_unlearning.benchmark.cells import Cell, DataChoice
from lotus_unlearning.benchmark.materials import Files, Place
from lotus_unlearning.benchmark.work import Made, run

RETRIES = 3
"""How often Ray begins a cell again whose machine or process was lost."""
_KEPT = 16
"""Results of cells that stay in the cluster for the next ones; those of a draw are fewer."""


class OnRay:
    """Cells as tasks of an existing Ray cluster.

    Args:
        address: The address of the cluster, such as ``"auto"`` or ``"ray://head:10001"``.
        place: The device, and the folder of the data sets, on every machine.
        cpus: The number of cores that a cell asks for.
        gpus: The number of GPUs that a cell asks for; a share of one lets several cells have it.

    Raises:
        ValueError: If Ray is not installed, there is no cluster at ``address``, or none of its
            machines has what a cell asks for.
    """

    def __init__(self, address: str, place: Place, *, cpus: float = 1, gpus: float = 0) -> None:
        try:
            import ray
        except ImportError:
            raise ValueError(
                "ray: expected Ray; install it with pip install 'lotus-unlearning[bench]'"
            ) from None
        self._started = not ray.is_initialized()
        if self._started:
            try:
                _knock(address)
                ray.init(address=address, logging_level="warning")
            except OSError as error:
                raise ValueError(
                    f"ray: expected a cluster at {address!r}, found none ({error}); start one with "
                    "ray start --head"
                ) from None
        self._ray, self._place, self._cpus, self._gpus = ray, place, cpus, gpus
        self._kept: OrderedDict[str, Any] = OrderedDict()
        try:
            self._has_room()
        except ValueError:
            self.close()
            raise
        task = ray.remote(_run)
        self._task = task.options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)

    @property
    def slots(self) -> int:
        """As many as the cluster holds now, and one more to wait for a place."""
        there = self._ray.cluster_resources()
        places = [there.get("CPU", 0) / self._cpus] if self._cpus else []
        places += [there.get("GPU", 0) / self._gpus] if self._gpus else []
        return int(min(places, default=1)) + 1

    def submit(self, cell: Cell, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a cell on any machine with room for it."""
        for key, files in needs.items():
            if key not in self._kept:
                self._kept[key] = self._ray.put(dict(files))
            self._kept.move_to_end(key)
        wanted = {key: self._kept[key] for key in needs}
        made = self._task.remote(cell, self._place, list(wanted), *wanted.values())
        while len(self._kept) > _KEPT:  # Ray frees it when no cell at work reads it any more
            self._kept.popitem(last=False)
        future: Future[Made] = made.future()
        return future

    def check(self, wanted: Sequence[DataChoice]) -> None:
        """Data sets and device are there, seen from a machine of the cluster."""
        task = self._ray.remote(preflight.check)
        asked = task.options(num_cpus=self._cpus, num_gpus=self._gpus)
        try:
            self._ray.get(asked.remote(wanted, self._place))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ValueError):
                raise error.cause from None
            raise

    def close(self) -> None:
        """Let go of all results, and leave the cluster if it was entered here."""
        self._kept.clear()
        if self._started:
            self._ray.shutdown()

    def _has_room(self) -> None:
        """Ray itself waits for ever for a machine that is large enough."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        asked = {"CPU": self._cpus, "GPU": self._gpus}
        if not any(all(m.get(kind, 0) >= n for kind, n in asked.items()) for m in machines):
            there = "; ".join(
                f"{m.get('CPU', 0):g} cores, {m.get('GPU', 0):g} GPUs" for m in machines
            )
            raise ValueError(
                f"ray: expected a machine with {self._cpus:g} cores and {self._gpus:g} GPUs for a "
                f"cell, got machines with {there}; change --cpus and --gpus"
            )


def _knock(address: str) -> None:
    """Ray itself waits for minutes for a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _run(cell: Cell, place: Place, keys: list[str], *files: Files) -> Made:
    return run(cell, dict(zip(keys, files, strict=True)), place)
