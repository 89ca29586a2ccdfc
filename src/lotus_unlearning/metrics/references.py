"""Attacks with a few reference models that never saw the forget images: the golds.

Cost: 1 to 16 gold models. Direction: to be near what a gold model left out of the references gets;
none of these is 0 for it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from lotus_unlearning.metrics.arrays import (
    Floats,
    as_probabilities,
    as_scores,
    require_same_shape,
)
from lotus_unlearning.metrics.banks import as_bank, require_same_images
from lotus_unlearning.metrics.divergence import js_divergence


def jsd_to_golds(probabilities: ArrayLike, golds: Sequence[ArrayLike]) -> Floats:
    r"""Divergence of each image's prediction from the golds' mean prediction.

    .. math:: JS(s(z_u(x)), \bar g(x)), \quad \bar g = \frac1n \sum_i g_i

    Args:
        probabilities: ``[N, C]``, the unlearned model's.
        golds: One or more of ``[N, C]``.

    Returns:
        ``[N]`` nats in [0, ln 2].

    Raises:
        ValueError: If shapes differ, rows are not probabilities or there is no gold.

    Source: Lin, 1991; this library (against the mean of several golds).

    >>> jsd_to_golds([[0.5, 0.5]], [[[0.4, 0.6]], [[0.6, 0.4]]]).round(9) + 0.0
    array([0.])
    """
    g = _checked(golds, least=1)
    return js_divergence(probabilities, np.mean(g, axis=0))


def jsd_to_other_golds(
    golds: Sequence[ArrayLike], probabilities: ArrayLike | None = None
) -> Floats:
    r"""Divergence of each gold from the mean of the others, or of a model from those same means.

    .. math:: JS(g_i, M_i) \text{ or } JS(s(z_u), M_i), \quad
        M_i = \frac1{n-1} \sum_{j \ne i} g_j

    The yardstick of :func:`jsd_to_golds`: the two forms differ only in the model that is measured,
    so that their means over images can be handed to :func:`~lotus_unlearning.metrics.verdict`.

    Args:
        golds: Two or more of ``[N, C]``.
        probabilities: ``[N, C]`` of the model to measure; each gold itself if not given.

    Returns:
        ``[n, N]`` nats in [0, ln 2].

    Raises:
        ValueError: If shapes differ, rows are not probabilities or there are fewer than two golds.

    Source: this library; as in :func:`~lotus_unlearning.metrics.closes`.

    >>> jsd_to_other_golds([[[0.5, 0.5]], [[0.5, 0.5]], [[1.0, 0.0]]]).round(3)
    array([[0.034],
           [0.034],
           [0.216]])
    """
    g = _checked(golds, least=2)
    measured = g if probabilities is None else [as_probabilities(probabilities, "probabilities")]
    total = np.sum(g, axis=0)
    means = [(total - gold) / (len(g) - 1) for gold in g]
    models = measured if len(measured) == len(g) else measured * len(g)
    return np.stack([js_divergence(p, mean) for p, mean in zip(models, means, strict=True)])


def _checked(golds: Sequence[ArrayLike], least: int) -> list[Floats]:
    if len(golds) < least:
        raise ValueError(
            f"golds: expected at least {least} retrained models, got {len(golds)}; retrain with "
            "more seeds"
        )
    arrays = [as_probabilities(gold, f"golds[{i}]") for i, gold in enumerate(golds)]
    for i, array in enumerate(arrays):
        require_same_shape(arrays[0], "golds[0]", array, f"golds[{i}]")
    return arrays


def klom(
    unlearned_margins: ArrayLike,
    gold_margins: ArrayLike,
    *,
    bins: int = 20,
    floor: float = 1e-5,
    as_published: bool = False,
) -> Floats:
    r"""KL divergence, image by image, of the margins of unlearned models from those of golds.

    .. math::
        \sum_b p_b \ln \frac{p_b}{q_b}, \quad
        q_b \propto \max(q_b, floor) \text{ where } p_b > 0

    p and q are histograms over ``bins`` equal bins from the smallest to the largest margin of both
    (clipped to [-100, 100]), closed at both ends. For ONE unlearned model there is no p: use
    :func:`~lotus_unlearning.metrics.margin_tails`.

    With few models the value is mostly bias: a bin that has one unlearned model and no gold adds
    ln(1 / (T floor)) / T, 0.55 nats for T = 16. For two sets of n models from ONE normal
    distribution the mean is about 6.4 nats for n = 8, 3.9 for n = 16, 1.7 for n = 32 and 0.36 for
    n = 100, the size of the source. Compare only with two sets of golds of the same sizes.

    Args:
        unlearned_margins: ``[T, N]``, T unlearned models with different seeds.
        gold_margins: ``[n, N]``.
        bins: Number of bins.
        floor: Smallest share of golds in a bin that has an unlearned model.
        as_published: As the published code does it, which drops the largest of all margins, and
            gives NaN if that were all of the unlearned models'.

    Returns:
        ``[N]`` nats, at least 0 and at most about ln(1 / ``floor``); to be near what two sets of
        golds give.

    Raises:
        ValueError: If images differ, margins are not finite or an option is out of range.

    Source: Georgiev et al., "Attribute-to-Delete", 2024, appendix E.1; estimator, bins and floor
    from its data-unlearning-bench (``compute_binned_KL_div``).

    >>> klom([[0.0], [0.1], [0.9], [1.0]], [[0.0], [0.1], [0.9], [1.0]])
    array([0.])
    >>> klom([[0.0], [0.1]], [[0.9], [1.0]]).round(3)
    array([10.82])
    """
    u = np.clip(as_bank(unlearned_margins, "unlearned_margins"), -100, 100)
    g = np.clip(as_bank(gold_margins, "gold_margins"), -100, 100)
    require_same_images(u, "unlearned_margins", g, "gold_margins")
    if bins < 1 or not 0 < floor < 1:
        raise ValueError(
            f"klom: expected at least one bin and a floor between 0 and 1, got {bins} and {floor}"
        )
    low = np.minimum(u.min(axis=0), g.min(axis=0))
    high = np.maximum(u.max(axis=0), g.max(axis=0))
    high = np.where(low == high, low + 1, high)
    edges = np.linspace(low, high, bins + 1)
    p, q = (_shares(margins, edges, closed=not as_published) for margins in (u, g))
    q = np.where(p > 0, np.maximum(q, floor), q)
    q /= np.maximum(q.sum(axis=0), floor)
    logs = np.log(np.divide(p, q, out=np.ones_like(p), where=p > 0))
    values = np.maximum((p * logs).sum(axis=0), 0.0)
    return np.where(p.sum(axis=0) > 0, values, np.nan)


def _shares(margins: Floats, edges: Floats, closed: bool) -> Floats:
    """Share of models in each bin, ``[bins, N]``; ``closed``: the last bin includes its end."""
    at_least = np.stack([(margins >= edge).sum(axis=0) for edge in edges])
    counts = at_least[:-1] - at_least[1:]
    if closed:
        counts[-1] += at_least[-1]
    total = counts.sum(axis=0)
    shares: Floats = counts / np.maximum(total, 1)
    return shares


def rmia(
    probability: ArrayLike,
    reference_probability: ArrayLike,
    population: ArrayLike,
    reference_population: ArrayLike,
    *,
    in_probability: ArrayLike | None = None,
    a: float = 0.3,
    gamma: float = 1.0,
) -> Floats:
    r"""How much more an image gains from the model than images of the population do.

    .. math::
        \frac1Z \left|\left\{z : \frac{p_\theta(x) / p(x)}{p_\theta(z) / p(z)} > \gamma
        \right\}\right|, \quad p(x) = \tfrac12 ((1 + a)\, p_{out}(x) + 1 - a)

    p is the probability of the label; :math:`p_{out}` its mean over references that did not see
    the image, which golds are. Offline, p(x) and p(z) are guessed from it: a line that joins it to
    1 says what models that did see the image would give. Online (``in_probability``),
    :math:`p(x) = \tfrac12 (p_{in} + p_{out})` and :math:`p(z) = p_{out}(z)`. Works with a single
    reference. Scores are for :func:`~lotus_unlearning.metrics.attack_auc`: forget against unseen.

    Args:
        probability: ``[N]``, the audited model's, of the label.
        reference_probability: ``[n, N]``, of models that never saw these images.
        population: ``[Z]``, the audited model's, on images that no model saw, other than the N.
        reference_population: ``[n, Z]``, the references' on the population.
        in_probability: ``[k, N]``, of models trained on the image: the online form.
        a: Offline only, from 0 to 1; 1 takes :math:`p_{out}` for p. 0.3 is the default of
            the authors' code.
        gamma: How much more it has to gain.

    Returns:
        ``[N]`` shares in [0, 1], high for members.

    Raises:
        ValueError: If shapes differ, a number is no probability or an option is out of range.

    Source: Zarifzadeh et al., "Low-cost high-power membership inference attacks", ICML 2024; as in
    their ml_privacy_meter, which also guesses p(z) with ``a`` and uses ``gamma`` = 1. Differs:
    where half of the references saw each image, that program averages over the half that gives a
    population image most, though none saw it; here all count.

    >>> rmia([0.9, 0.3], [[0.3, 0.3]], [0.5, 0.6], [[0.5, 0.5]])
    array([1., 0.])
    """
    x, z = _probabilities(probability, "probability"), _probabilities(population, "population")
    out_x = _probabilities(reference_probability, "reference_probability", bank=True)
    out_z = _probabilities(reference_population, "reference_population", bank=True)
    require_same_images(x, "probability", out_x, "reference_probability")
    require_same_images(z, "population", out_z, "reference_population")
    if not 0 <= a <= 1 or gamma <= 0:
        raise ValueError(f"rmia: expected a from 0 to 1 and gamma above 0, got {a} and {gamma}")
    if in_probability is None:
        p_x, p_z = (((1 + a) * out.mean(axis=0) + 1 - a) / 2 for out in (out_x, out_z))
    else:
        seen = _probabilities(in_probability, "in_probability", bank=True)
        require_same_images(x, "probability", seen, "in_probability")
        p_x, p_z = (seen.mean(axis=0) + out_x.mean(axis=0)) / 2, out_z.mean(axis=0)
    tiny = np.finfo(np.float64).tiny
    gains = np.sort(z / np.maximum(p_z, tiny))
    shares: Floats = np.searchsorted(gains * gamma, x / np.maximum(p_x, tiny), "left") / len(z)
    return shares


def _probabilities(values: ArrayLike, name: str, bank: bool = False) -> Floats:
    array = as_bank(values, name) if bank else as_scores(values, name)
    if array.min() < 0 or array.max() > 1 + 1e-9:
        raise ValueError(
            f"{name}: expected probabilities of the label, got {array.min():.4g} to "
            f"{array.max():.4g}; pass label_probability(logits, labels)"
        )
    return array
