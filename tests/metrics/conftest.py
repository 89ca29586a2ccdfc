"""Random arrays for the tests of measures."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon


@pytest.fixture(scope="session")
def rows() -> Callable[..., np.ndarray]:
    """Probabilities ``[n, c]``; a small ``concentration`` gives many entries near or at zero.

    None is below 1e-300, where scipy's own divergence breaks down.
    """

    def draw(seed: int, n: int, c: int, concentration: float = 1.0) -> np.ndarray:
        p = np.random.default_rng(seed).dirichlet(np.full(c, concentration), size=n)
        return np.where(p < 1e-300, 0.0, p)

    return draw


@pytest.fixture(scope="session")
def scipy_js() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Jensen-Shannon divergence by scipy, which takes the root of -1e-17 for nearly equal rows."""

    def oracle(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(jensenshannon(p, q, axis=-1)) ** 2

    return oracle
