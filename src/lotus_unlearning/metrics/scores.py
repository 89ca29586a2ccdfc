"""Membership scores of single images, from one model's outputs: the cheapest rung of the ladder.

Cost: no extra model. Members score high. What counts as forgotten is what a gold model scores on
the same images, neither 0 nor the score of an unseen image: compare with gold's, do not minimise.
"""

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.accuracy import softmax
from lotus_unlearning.metrics.arrays import Floats, as_labels, as_logits, as_scores
from lotus_unlearning.metrics.uncertainty import confidence, cross_entropy, entropy


def margin(logits: ArrayLike, labels: ArrayLike) -> Floats:
    r"""How far the label is ahead of all other classes together: the logit of its probability.

    .. math:: \phi = z_y - \ln \sum_{j \ne y} e^{z_j} = \ln \frac{p_y}{1 - p_y}

    From logits and not from probabilities, so that it is finite however sure the model is. Over
    retrainings it is close to normally distributed, which is why LiRA, KLOM and the gold band
    are built on it.

    Args:
        logits: ``[N, C]``, not probabilities.
        labels: ``[N]``, integers from 0 to C - 1.

    Returns:
        ``[N]``; above 0 where the label has more than half of the probability.

    Raises:
        ValueError: If shapes differ, labels are out of range or logits are not finite.

    Source: Carlini et al., "Membership inference attacks from first principles", S&P 2022
    (scaled logit); Georgiev et al., "Attribute-to-Delete", 2024 (margin).

    >>> margin([[0.0, 0.0], [1000.0, 0.0], [1000.0, 0.0]], [0, 0, 1])
    array([    0.,  1000., -1000.])
    """
    z = as_logits(logits, "logits")
    y = as_labels(labels, "labels", *z.shape)
    label = z[np.arange(len(z)), y]
    ahead: Floats = label - _log_sum_of_others(z, y)
    return ahead


def modified_entropy(logits: ArrayLike, labels: ArrayLike) -> Floats:
    r"""Entropy that knows the label: 0 for a sure right answer, large for a sure wrong one.

    .. math:: -(1 - p_y) \ln p_y - \sum_{j \ne y} p_j \ln(1 - p_j)

    Args:
        logits: ``[N, C]``, not probabilities.
        labels: ``[N]``, integers from 0 to C - 1.

    Returns:
        ``[N]`` nats, at least 0 and finite.

    Raises:
        ValueError: If shapes differ, labels are out of range or logits are not finite.

    Source: Song and Mittal, "Systematic evaluation of privacy risks of machine learning models",
    USENIX Security 2021. Differs: their code puts ln 1e-30 where a probability is exactly 0 or 1;
    here the logarithms come from the logits, and stay exact.

    >>> modified_entropy([[0.0, 0.0], [1000.0, 0.0], [1000.0, 0.0]], [0, 0, 1])
    array([6.93147181e-01, 0.00000000e+00, 2.00000000e+03])
    """
    z = as_logits(logits, "logits")
    y = as_labels(labels, "labels", *z.shape)
    rows, top = np.arange(len(z)), z.argmax(axis=1)
    log_p = z - (z[rows, top] + np.log(np.exp(z - z[rows, top][:, None]).sum(axis=1)))[:, None]
    p = np.exp(log_p)
    # ln(1 - p): exact below a half; above it, which only the largest can be, from the others
    rest = p.copy()
    rest[rows, top] = 0.0
    log_rest = np.log1p(-rest)
    log_rest[rows, top] = _log_sum_of_others(z, top) - (z - log_p)[rows, top]
    terms = p * log_rest
    terms[rows, y] = np.exp(log_rest[rows, y]) * log_p[rows, y]
    values: Floats = np.maximum(-terms.sum(axis=1), 0.0)
    return values


def label_probability(logits: ArrayLike, labels: ArrayLike) -> Floats:
    r"""Probability that the model gives to the label.

    .. math:: p_y = e^{z_y} / \sum_j e^{z_j}

    Args:
        logits: ``[N, C]``, not probabilities.
        labels: ``[N]``, integers from 0 to C - 1.

    Returns:
        ``[N]`` in [0, 1].

    Raises:
        ValueError: If shapes differ, labels are out of range or logits are not finite.

    Source: textbook; what :func:`~lotus_unlearning.metrics.rmia` reads.

    >>> label_probability([[0.0, 0.0], [1000.0, 0.0]], [0, 0])
    array([0.5, 1. ])
    """
    values: Floats = np.exp(-cross_entropy(logits, labels))
    return values


def membership_scores(
    logits: ArrayLike, labels: ArrayLike, gradient_norms: ArrayLike | None = None
) -> dict[str, Floats]:
    r"""Every score of level 0, each turned so that members score high.

    .. math:: -H(p), \quad \max_j p_j, \quad \ln p_y, \quad \ln \frac{p_y}{1 - p_y}, \quad
        -\mathrm{Mentr}(p, y), \quad -\|\nabla_\theta \ell\|

    Cost: no extra model. Compare forget with unseen images, on the unlearned model and on gold.

    Args:
        logits: ``[N, C]``, not probabilities.
        labels: ``[N]``, integers from 0 to C - 1.
        gradient_norms: ``[N]``, norm of the gradient of the loss of each image, if it was
            computed; a trained image pulls little.

    Returns:
        ``entropy``, ``confidence``, ``loss``, ``margin``, ``modified_entropy`` and, where given,
        ``gradient_norm``, each ``[N]``.

    Raises:
        ValueError: If shapes differ, labels are out of range, numbers are not finite or a norm is
            negative.

    Source: Song and Mittal, 2021; Salem et al., 2019; Yeom et al., 2018; Carlini et al., 2022;
    gradients: Nasr et al., "Comprehensive privacy analysis of deep learning", S&P 2019.

    >>> scores = membership_scores([[2.0, 0.0]], [0], gradient_norms=[0.3])
    >>> sorted(scores), scores["margin"]
    (['confidence', 'entropy', 'gradient_norm', 'loss', 'margin', 'modified_entropy'], array([2.]))
    """
    p = softmax(logits)
    scores = {
        "entropy": -entropy(p),
        "confidence": confidence(p),
        "loss": -cross_entropy(logits, labels),
        "margin": margin(logits, labels),
        "modified_entropy": -modified_entropy(logits, labels),
    }
    if gradient_norms is not None:
        norms = as_scores(gradient_norms, "gradient_norms")
        if len(norms) != len(p) or norms.min() < 0:
            raise ValueError(
                f"gradient_norms: expected {len(p)} numbers of at least 0, one per row, got "
                f"{len(norms)} with smallest {norms.min():.4g}; pass norms, not scores"
            )
        scores["gradient_norm"] = -norms
    return scores


def _log_sum_of_others(z: Floats, left_out: np.ndarray) -> Floats:
    """``ln sum exp`` over all columns but one of each row, ``[N]``."""
    others = z.copy()
    others[np.arange(len(z)), left_out] = -np.inf
    top = others.max(axis=1)
    total: Floats = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
    return total
