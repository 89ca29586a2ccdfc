"""How sure a model is of each image: entropy, confidence, loss; and entropies as histograms."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import (
    Floats,
    as_labels,
    as_logits,
    as_probabilities,
    as_scores,
)


def entropy(probabilities: ArrayLike) -> Floats:
    r"""Shannon entropy of each row.

    .. math:: H(p) = -\sum_j p_j \ln p_j, \quad 0 \ln 0 = 0

    Args:
        probabilities: ``[N, C]``.

    Returns:
        ``[N]`` nats in [0, ln C].

    Raises:
        ValueError: If rows are not probabilities.

    Source: Shannon, "A mathematical theory of communication", 1948.

    >>> entropy([[0.5, 0.5], [1.0, 0.0]])
    array([0.69314718, 0.        ])
    """
    from scipy.special import entr

    p = as_probabilities(probabilities, "probabilities")
    values: Floats = entr(p).sum(axis=1)
    return values


def confidence(probabilities: ArrayLike) -> Floats:
    r"""Largest probability of each row.

    .. math:: \max_j p_j

    Args:
        probabilities: ``[N, C]``.

    Returns:
        ``[N]`` in [1/C, 1].

    Raises:
        ValueError: If rows are not probabilities.

    Source: Salem et al., "ML-Leaks", NDSS 2019 (adversary 3).

    >>> confidence([[0.25, 0.75]])
    array([0.75])
    """
    p = as_probabilities(probabilities, "probabilities")
    largest: Floats = p.max(axis=1)
    return largest


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Floats:
    r"""Loss of each row, from logits, so that a confident mistake is large and not infinite.

    .. math:: -\ln s_y(z) = \ln \sum_j e^{z_j - \max z} - (z_y - \max z)

    Args:
        logits: ``[N, C]``, not probabilities.
        labels: ``[N]``, integers from 0 to C - 1.

    Returns:
        ``[N]`` nats, at least 0.

    Raises:
        ValueError: If shapes differ, labels are out of range or logits are not finite.

    Source: textbook; as an attack, Yeom et al., "Privacy risk in machine learning", CSF 2018.

    >>> cross_entropy([[0.0, 0.0], [0.0, 1000.0]], [0, 0])
    array([6.93147181e-01, 1.00000000e+03])
    """
    z = as_logits(logits, "logits")
    y = as_labels(labels, "labels", *z.shape)
    z = z - z.max(axis=1, keepdims=True)
    losses: Floats = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), y]
    return losses


@dataclass(frozen=True)
class EntropyHistogram:
    """Entropies of several splits or models over the same bins.

    Attributes:
        edges: ``[bins + 1]`` nats, from 0 to ln C.
        shares: Name -> ``[bins]`` share of its images in each bin; each sums to 1.
    """

    edges: Floats
    shares: dict[str, Floats]


def entropy_histogram(
    entropies_by_name: Mapping[str, ArrayLike], bins: int, classes: int
) -> EntropyHistogram:
    r"""Histograms over shared edges, as shares, so that splits of any size can be compared.

    .. math:: e_b = b \ln C / B, \quad h_b = \frac1N |\{i : e_b \le H_i < e_{b+1}\}|

    Args:
        entropies_by_name: Name -> ``[N]`` nats in [0, ln C]; N may differ.
        bins: Number of bins B.
        classes: Number of classes C, which fixes the range.

    Returns:
        An :class:`EntropyHistogram`; the last bin includes ln C.

    Raises:
        ValueError: If there is nothing to count, or an entropy is outside [0, ln C].

    Source: Spartalis et al., "LoTUS", CVPR 2025 (entropy up to the bound).

    >>> entropy_histogram({"forget": [0.0, 0.1, 0.6]}, bins=2, classes=2).shares
    {'forget': array([0.66666667, 0.33333333])}
    """
    if not entropies_by_name or bins < 1 or classes < 2:
        raise ValueError(
            "entropy_histogram: expected at least one name, one bin and two classes, got "
            f"{len(entropies_by_name)}, {bins} and {classes}"
        )
    edges = np.linspace(0.0, np.log(classes), bins + 1)
    shares = {}
    for name, values in entropies_by_name.items():
        nats = as_scores(values, name)
        if nats.min() < -1e-6 or nats.max() > edges[-1] + 1e-6:
            raise ValueError(
                f"{name}: expected entropies from 0 to ln {classes} = {edges[-1]:.4f}, got "
                f"{nats.min():.4f} to {nats.max():.4f}; pass nats, not bits"
            )
        shares[name] = np.histogram(np.clip(nats, 0.0, edges[-1]), edges)[0] / len(nats)
    return EntropyHistogram(edges, shares)
