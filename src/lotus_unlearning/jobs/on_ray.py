"""Jobs on a Ray cluster: many machines, a lost one's jobs run again on another.

Every machine needs this package and what the work reads from files. Results travel back to the
process that began the jobs, which alone writes files.
"""

import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from lotus_unlearning.jobs.job import Files, J, Made, Work

T = TypeVar("T")
RETRIES = 3
"""How often Ray begins a job again whose machine or process was lost."""
_KEPT = 16
"""Needs that stay in the cluster for the jobs that come after those they were put there for."""


class OnRay(Generic[J]):
    """Jobs as tasks of an existing Ray cluster; the work is put there once.

    Args:
        address: The address of the cluster, such as ``"auto"`` or ``"ray://head:10001"``.
        work: Does a job, on any machine.
        cpus: The number of cores that a job asks for.
        gpus: The number of GPUs that a job asks for; a share of one lets several jobs have it.
        called: What a job is called in messages.

    Raises:
        ValueError: If Ray is not installed, there is no cluster at ``address``, or none of its
            machines has what a job asks for.
    """

    def __init__(
        self,
        address: str,
        work: Work[J],
        *,
        cpus: float = 1,
        gpus: float = 0,
        called: str = "job",
    ) -> None:
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
        self._ray, self._cpus, self._gpus = ray, cpus, gpus
        self._kept: OrderedDict[str, Any] = OrderedDict()
        try:
            self._require_room(called)
            self._work = ray.put(work)
        except Exception:
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

    def submit(self, job: J, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a job on any machine with room for it."""
        for key, files in needs.items():
            if key not in self._kept:
                self._kept[key] = self._ray.put(dict(files))
            self._kept.move_to_end(key)
        wanted = {key: self._kept[key] for key in needs}
        made = self._task.remote(self._work, job, list(wanted), *wanted.values())
        while len(self._kept) > _KEPT:  # Ray frees it when no job at work reads it any more
            self._kept.popitem(last=False)
        future: Future[Made] = made.future()
        return future

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on a machine of the cluster."""
        task = self._ray.remote(_call)
        asked = task.options(num_cpus=self._cpus, num_gpus=self._gpus)
        try:
            found: T = self._ray.get(asked.remote(function))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ValueError):
                raise error.cause from None
            raise
        return found

    def close(self) -> None:
        """Let go of all results, and leave the cluster if it was entered here."""
        self._kept.clear()
        if self._started:
            self._ray.shutdown()

    def _require_room(self, called: str) -> None:
        """Ray itself waits for ever for a machine that is large enough."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        asked = {"CPU": self._cpus, "GPU": self._gpus}
        if not any(all(m.get(kind, 0) >= n for kind, n in asked.items()) for m in machines):
            there = "; ".join(
                f"{m.get('CPU', 0):g} cores, {m.get('GPU', 0):g} GPUs" for m in machines
            )
            raise ValueError(
                f"ray: expected a machine with {self._cpus:g} cores and {self._gpus:g} GPUs for a "
                f"{called}, got machines with {there}; change --cpus and --gpus"
            )


def _knock(address: str) -> None:
    """Ray itself waits for minutes for a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _call(function: Callable[[], T]) -> T:
    return function()


def _run(work: Work[J], job: J, keys: list[str], *files: Files) -> Made:
    return work(job, dict(zip(keys, files, strict=True)))
