"""What the machine can do: device, precision, peak memory."""

import ctypes
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}
_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def choose_device(name: str | torch.device) -> torch.device:
    """``"auto"``: the first accelerator, else the CPU; any other name as torch reads it.

    Raises:
        ValueError: If the device does not exist here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = _device(name)
    if device is None:
        known = ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(f'device: expected one of {", ".join(known)}; got "{name}"')
    return device


def _device(name: str | torch.device) -> torch.device | None:
    """``None`` if there is none of this name; a number comes back from one that is there."""
    try:
        device = torch.device(name)
        if device.type == "cuda":  # asked without starting it
            return device if (device.index or 0) < torch.cuda.device_count() else None
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError):
        return None
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``"auto"``: bfloat16 on CUDA where the hardware has it, else float32.

    Not on a CPU, though it can be half as fast again there: PyTorch's bfloat16 convolutions
    give wrong gradients for some shapes on some processors (:func:`check_bfloat16` looks for
    them). Ask for ``"bfloat16"`` where speed matters.

    Raises:
        ValueError: If the name is unknown.
    """
    if name == "auto":
        cuda = device.type == "cuda"
        fast = cuda and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    if name not in PRECISIONS:
        raise ValueError(f"precision: expected auto, {', '.join(PRECISIONS)}; got {name!r}")
    return PRECISIONS[name]


def processor() -> str:
    """Name of the processor, as far as it tells."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.exists() else []
    name = next((line for line in lines if line.startswith("model name")), "")
    return name.partition(":")[2].strip() or platform.processor() or platform.machine()


def machine(device: torch.device, precision: torch.dtype) -> dict[str, Any]:
    """What bits and times depend on besides settings and versions, as plain data."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "precision": str(precision).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "processor": processor(),
    }


class PeakMemory:
    """Bytes in use above the start, at their highest; ``None`` where it cannot be measured."""

    bytes: int | None = None


@contextmanager
def measure_peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Measure the peak memory of a block: the device's, or on a CPU the process's.

    What the process freed before is given back to the system first: memory that the block took
    from there would not show.
    """
    peak = PeakMemory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device) - start
        return
    _trim()
    exact = _reset_process_peak()
    start = _process_memory("VmRSS") if exact else _highest_process_memory()
    yield peak
    end = _process_memory("VmHWM") if exact else _highest_process_memory()
    grown = end - start
    peak.bytes = max(0, grown) if exact or grown > 0 else None


def _trim() -> None:
    """Give freed memory back to the system, where the C library can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset_process_peak() -> bool:
    """Linux: writing 5 to clear_refs sets the process's peak to what it uses now."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _process_memory(field: str) -> int:
    lines = _STATUS.read_text().splitlines()
    value = next(line.split()[1] for line in lines if line.startswith(field))
    return int(value) * 1024


def _highest_process_memory() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
