"""Processes that start at once, with all that is slow imported: together, or to be killed."""

import multiprocessing
import os
from multiprocessing import forkserver

import pytest
import torch
import torch.distributed as dist

IMPORTED = ["accelerate", "many_processes", "timm.layers"]


def forks_with(module, folder):
    """A context whose processes have ``module`` of ``folder``, and all that is slow to import.

    A server that other tests started imports nothing more: it has to go first.
    """
    forkserver._forkserver._stop()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module, *IMPORTED])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)  # where the server looks
        forkserver.ensure_running()
    return context


def together(count, work, *args):
    """Exit codes of so many processes that do ``work(*args)``; what is slow they share."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    members = [
        context.Process(target=_member, args=(rank, count, store.port, work, args))
        for rank in range(count)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(timeout=200)
        member.kill()  # if it hangs
    return [member.exitcode for member in members]


def _member(rank, count, port, work, args):
    """What torchrun tells the processes that it starts."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {key: str(value) for key, value in numbers.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torch.set_num_threads(1)
    work(*args)
