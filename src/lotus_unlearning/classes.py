"""Which rows belong to which class, in one pass however many classes there are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def by_class(labels: NDArray[Any]) -> dict[Any, NDArray[np.int64]]:
    """Positions of each class.

    One stable sort of the labels: asking for the classes one by one reads all labels once per
    class.

    Args:
        labels: ``[N]``, of any type that has an order.

    Returns:
        Class -> rising positions ``[n]``; classes rise, too, and none is empty.

    >>> {c: rows.tolist() for c, rows in by_class(np.array([7, 3, 7])).items()}
    {3: [1], 7: [0, 2]}
    """
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    return dict(zip(classes.tolist(), np.split(order, starts[1:]), strict=False))  # none: no class
