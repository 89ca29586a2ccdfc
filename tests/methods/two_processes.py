"""Every method on one or two processes: weights of all of them into one file."""

import sys

import torch
import toy
from contract import ROWS, splits
from safetensors.torch import save_file

from lotus_unlearning.runtime import Processes


def weights():
    """Method and parameter -> values, computed by as many processes as there are."""
    model, found = toy.trained(), {}
    for name, method in ROWS.items():
        result = toy.run(model, splits(), method).model
        found |= {f"{name}.{k}": v.contiguous() for k, v in result.state_dict().items()}
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    values = weights()
    if Processes.start().rank == 0:
        save_file(values, sys.argv[1])
