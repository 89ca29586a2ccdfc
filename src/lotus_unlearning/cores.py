"""How many cores this process may use, which may be fewer than the machine has."""

import os


def usable_cores() -> int:
    """Those of the process's affinity (taskset, a container, a batch system), where that is known.

    >>> usable_cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
