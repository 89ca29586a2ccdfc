"""Where speed lives: device, precision, batches, predictions, steps, epochs, processes."""

from lotus_unlearning.runtime.bfloat16 import check_precision
from lotus_unlearning.runtime.compiling import check_blocks
from lotus_unlearning.runtime.depth import deepest, in_order
from lotus_unlearning.runtime.hardware import (
    choose_device,
    choose_precision,
    measure_peak_memory,
    processor,
)
from lotus_unlearning.runtime.models import (
    Penultimate,
    fingerprint,
    fresh_copy,
    frozen_copy,
    made_by,
    reset_layers,
    reset_parameters,
    restore,
    snapshot,
)
from lotus_unlearning.runtime.processes import Processes
from lotus_unlearning.runtime.run import Runtime
from lotus_unlearning.runtime.scores import accuracy
from lotus_unlearning.runtime.shards import summed

__all__ = [
    "Penultimate",
    "Processes",
    "Runtime",
    "accuracy",
    "check_blocks",
    "check_precision",
    "choose_device",
    "choose_precision",
    "deepest",
    "fingerprint",
    "fresh_copy",
    "frozen_copy",
    "in_order",
    "made_by",
    "measure_peak_memory",
    "processor",
    "reset_layers",
    "reset_parameters",
    "restore",
    "snapshot",
    "summed",
]
