"""Where groups of models are trained: in this process, in several, or on a Ray cluster.

As in :mod:`lotus_unlearning.benchmark.executors`, but for groups, and the images travel with the
work: they need not be a data set that has a name.
"""

import multiprocessing
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch

from lotus_unlearning.audit.groups import Group, make
from lotus_unlearning.audit.material import Material
from lotus_unlearning.benchmark import on_ray
from lotus_unlearning.benchmark.materials import Files, Place
from lotus_unlearning.benchmark.work import Made
from lotus_unlearning.cores import usable_cores


class InThisProcess:
    """One group after another.

    Args:
        material: What models are made of.
        device: As for :func:`lotus_unlearning.train`.
    """

    slots = 1

    def __init__(self, material: Material, device: str) -> None:
        self._material, self._device = material, device

    def submit(self, group: Group, needs: Mapping[str, Files]) -> "Future[Made]":
        """Train a group, and only then return."""
        future: Future[Made] = Future()
        try:
            future.set_result(make(group, self._material, self._device))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing to do."""


class InProcesses:
    """Several groups at once, each in a process with its share of the cores.

    Args:
        jobs: How many.
        material: What models are made of.
        device: As for :func:`lotus_unlearning.train`.
    """

    def __init__(self, jobs: int, material: Material, device: str) -> None:
        self.slots = jobs
        self._material, self._device = material, device
        self._pool = self._start()

    def submit(self, group: Group, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a group in a process that is free."""
        try:
            return self._pool.submit(make, group, self._material, self._device)
        except BrokenProcessPool:  # a process died and took the pool with it
            self._pool = self._start()
            return self._pool.submit(make, group, self._material, self._device)

    def close(self) -> None:
        """End the processes; what they were doing is lost."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        threads = max(1, usable_cores() // self.slots)
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self.slots, mp_context=spawn, initializer=_begin, initargs=(threads,)
        )


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one


class OnRay:
    """Groups as tasks of an existing Ray cluster; machines need no data set.

    Args:
        address: Of the cluster, such as ``"auto"`` or ``"ray://head:10001"``.
        material: What models are made of.
        device: As for :func:`lotus_unlearning.train`, on every machine.
        cpus: Cores that a group asks for.
        gpus: GPUs that a group asks for.

    Raises:
        ValueError: If Ray is not installed, or there is no cluster at ``address``.
    """

    def __init__(
        self, address: str, material: Material, device: str, *, cpus: float = 1, gpus: float = 0
    ) -> None:
        self._cluster = on_ray.OnRay(address, Place(device), cpus=cpus, gpus=gpus)
        import ray

        self._device, self._material = device, ray.put(material)
        task = ray.remote(make)
        self._task = task.options(num_cpus=cpus, num_gpus=gpus, max_retries=on_ray.RETRIES)

    @property
    def slots(self) -> int:
        """As many as the cluster holds now, and one more to wait for a place."""
        return self._cluster.slots

    def submit(self, group: Group, needs: Mapping[str, Files]) -> "Future[Made]":
        """Begin a group on any machine with room for it."""
        future: Future[Made] = self._task.remote(group, self._material, self._device).future()
        return future

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()
