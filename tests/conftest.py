"""What all tests share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Two cores and many tiny networks: threads cost more than they give."""
    torch.set_num_threads(1)
