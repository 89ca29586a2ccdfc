"""What all tests share."""

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("fixed", derandomize=True)  # the same examples on every machine
settings.register_profile("search", max_examples=1000)  # new ones, to look for what is missed
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Two cores and many tiny networks: threads cost more than they give."""
    torch.set_num_threads(1)
