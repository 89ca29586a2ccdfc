"""Attacks with a bank of shadow models: likelihood ratios of each image's own margin.

Cost: LiRA offline, models that did not see the image (golds are such), from 2, better 16; online,
as many again that did. U-LiRA, a bank of unlearned models for each method. Direction: to be near
what a held-out gold gets in the place of the unlearned model.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lotus_unlearning.metrics.arrays import Floats, as_scores
from lotus_unlearning.metrics.attacks import attack_auc
from lotus_unlearning.metrics.banks import as_bank, require_same_images

Variance = Literal["per image", "shared"]
ENOUGH_FOR_OWN_VARIANCE = 32  # models on a side of an image
SMALLEST_SPREAD = 1e-9  # where all models of a side agree: a large ratio, not an infinite one


def variance_for(models: int) -> Variance:
    """Which variance is better with so many models on a side of each image.

    Args:
        models: As many on the smaller side; half of the shadows, or all golds.

    Source: Carlini et al., S&P 2022: one variance for all images where there are fewer than 64
    shadows, of which each image is in half.

    >>> variance_for(16), variance_for(32)
    ('shared', 'per image')
    """
    return "shared" if models < ENOUGH_FOR_OWN_VARIANCE else "per image"


def lira_online(
    margins: ArrayLike,
    shadow_margins: ArrayLike,
    trained_on: ArrayLike,
    *,
    variance: Variance = "per image",
    as_published: bool = False,
) -> Floats:
    r"""Log-likelihood ratio of each margin: models that saw the image against models that did not.

    .. math:: \ln N(\phi; \mu_{in}, \sigma^2_{in}) - \ln N(\phi; \mu_{out}, \sigma^2_{out})

    with means and variances over the shadow models of one image. ``variance="shared"`` pools the
    variances of all images within a side, which is better with few shadows. Scores are for
    :func:`~lotus_unlearning.metrics.attack_auc`, forget against unseen images.

    Args:
        margins: ``[N]``, the audited model's.
        shadow_margins: ``[S, N]``, from :func:`~lotus_unlearning.metrics.margin`.
        trained_on: ``[S, N]`` booleans, whether a shadow saw an image.
        variance: ``"per image"`` or ``"shared"``.
        as_published: As the published code: medians for means, standard deviations over S and not
            S - 1, and for "shared" that of all in-margins around their grand mean, for both sides.

    Returns:
        ``[N]``, above 0 where it is more like a model that saw the image.

    Raises:
        ValueError: If shapes differ, numbers are not finite, an image has fewer than two shadows
            on a side, or an option is unknown.

    Source: Carlini et al., "Membership inference attacks from first principles", S&P 2022
    (online); ``as_published``: tensorflow/privacy, mi_lira_2021/plot.py.

    >>> shadows = [[3.0], [5.0], [0.0], [2.0]]
    >>> lira_online([4.0], shadows, [[True], [True], [False], [False]])
    array([2.25])
    """
    from scipy.stats import norm

    m, shadows = _checked(margins, shadow_margins, variance)
    seen = _as_mask(trained_on, shadows)
    mean_in, spread_in = _normal_fit(shadows, seen, variance, as_published)
    mean_out, spread_out = _normal_fit(shadows, ~seen, variance, as_published)
    if as_published and variance == "shared":
        spread_out = spread_in
    ratio: Floats = norm.logpdf(m, mean_in, spread_in) - norm.logpdf(m, mean_out, spread_out)
    return ratio


def lira_offline(
    margins: ArrayLike,
    shadow_margins: ArrayLike,
    trained_on: ArrayLike | None = None,
    *,
    variance: Variance = "per image",
    as_published: bool = False,
) -> Floats:
    r"""How far each margin is above those of models that did not see the image.

    .. math:: -\ln P(Z > \phi), \quad Z \sim N(\mu_{out}, \sigma^2_{out})

    which orders images as the paper's :math:`1 - P(Z > \phi)`, without running into 1.

    Args:
        margins: ``[N]``, the audited model's.
        shadow_margins: ``[S, N]``; the golds, if there is nothing else.
        trained_on: ``[S, N]`` booleans; not given, no shadow saw any image.
        variance: ``"per image"`` or ``"shared"``.
        as_published: As the published code: two-sided, minus the log-density, with medians for
            means.

    Returns:
        ``[N]``, high where the model is surer of the label than models that did not see it.

    Raises:
        ValueError: If shapes differ, numbers are not finite, an image has fewer than two shadows
            that did not see it, or an option is unknown.

    Source: Carlini et al., S&P 2022 (offline); ``as_published``: tensorflow/privacy,
    mi_lira_2021/plot.py.

    >>> lira_offline([1.0, 1.0 + 2**0.5], [[0.0, 0.0], [2.0, 2.0]]).round(3)
    array([0.693, 1.841])
    """
    from scipy.stats import norm

    m, shadows = _checked(margins, shadow_margins, variance)
    if trained_on is None:
        unseen = np.ones(shadows.shape, dtype=bool)
    else:
        unseen = ~_as_mask(trained_on, shadows)
    mean, spread = _normal_fit(shadows, unseen, variance, as_published)
    if as_published:
        return -np.asarray(norm.logpdf(m, mean, spread), dtype=np.float64)
    return -np.asarray(norm.logsf(m, mean, spread), dtype=np.float64)


def _checked(
    margins: ArrayLike, shadow_margins: ArrayLike, variance: Variance
) -> tuple[Floats, Floats]:
    m = as_scores(margins, "margins")
    shadows = as_bank(shadow_margins, "shadow_margins", least=2)
    require_same_images(m, "margins", shadows, "shadow_margins")
    _require_variance(variance)
    return m, shadows


def _require_variance(variance: str) -> None:
    if variance not in ("per image", "shared"):
        raise ValueError(f"variance: expected 'per image' or 'shared', got {variance!r}")


def _as_mask(trained_on: ArrayLike, shadows: Floats) -> NDArray[np.bool_]:
    mask = np.asarray(trained_on)
    if mask.shape != shadows.shape or mask.dtype != bool:
        raise ValueError(
            f"trained_on: expected booleans of shape {list(shadows.shape)}, got {mask.dtype} of "
            f"shape {list(mask.shape)}; say for every shadow and image whether it was trained on"
        )
    return mask


def _normal_fit(
    shadows: Floats, used: NDArray[np.bool_], variance: Variance, as_published: bool
) -> tuple[Floats, Floats]:
    """Mean and standard deviation per image ``[N]`` of the margins that are ``used``."""
    count = used.sum(axis=0)
    if count.min() < 2:
        raise ValueError(
            f"shadow_margins: expected at least 2 models on each side of every image, got "
            f"{count.min()} on image {count.argmin()}; train more shadow models"
        )
    values = np.where(used, shadows, np.nan)
    mean = np.nanmedian(values, axis=0) if as_published else np.nanmean(values, axis=0)
    if variance == "per image":
        spread = np.nanstd(values, axis=0, ddof=0 if as_published else 1)
    elif as_published:
        spread = np.full(len(mean), np.nanstd(values))
    else:
        squares = np.nansum((values - mean) ** 2)
        spread = np.full(len(mean), np.sqrt(squares / (count - 1).sum()))
    return mean, np.maximum(spread, SMALLEST_SPREAD)


@dataclass(frozen=True)
class ULira:
    """How well a forgotten image is told from one that was never seen, by its own margin.

    Attributes:
        accuracy: Mean over rounds and images of right guesses; 0.5 by chance.
        per_image: ``[N]`` mean over rounds of right guesses on each image.
        auc: Mean of ``aucs``; 0.5 by chance.
        aucs: ``[R]`` AUC over images of each round's two held-out models.
        forgot: ``[R, N]`` log-likelihood ratios of the held-out model that forgot the image.
        never: ``[R, N]`` of the held-out model that never saw it.
    """

    accuracy: float
    per_image: Floats
    auc: float
    aucs: Floats
    forgot: Floats
    never: Floats


def u_lira(
    forgot_margins: ArrayLike, never_margins: ArrayLike, *, variance: Variance = "per image"
) -> ULira:
    r"""U-LiRA: can one tell, from a margin, that an image was learned and then forgotten?

    .. math::
        \Lambda(\phi) = \ln N(\phi; \mu_f, \sigma^2_f) - \ln N(\phi; \mu_n, \sigma^2_n), \quad
        \text{guess "forgot" where } \Lambda > 0

    with means and variances over models that were trained with the image and unlearned it (f), and
    over models that never saw it (n). In each of max(T, n) rounds one model of either kind is held
    out, the rest is fitted, and both are guessed. Taking out one of each kind keeps chance at
    exactly 0.5; the usual leave-one-out, which takes out one alone, pulls its own side's mean away
    from it and ends below 0.5 for a perfect method.

    Args:
        forgot_margins: ``[T, N]``, T at least 3.
        never_margins: ``[n, N]``, n at least 3: golds.
        variance: ``"per image"`` or ``"shared"``, see :func:`lira_online`.

    Returns:
        A :class:`ULira`; a perfect method gives 0.5 everywhere, up to chance.

    Raises:
        ValueError: If images differ, there are too few models, numbers are not finite or
            ``variance`` is unknown.

    Source: Kurmanji et al., "Towards unbounded machine unlearning", NeurIPS 2023 (LiRA for
    unlearning); Hayes et al., "Inexact unlearning needs more careful evaluations", 2024 (U-LiRA).
    Differs: pairs are held out, see above.

    >>> result = u_lira([[5.0], [6.0], [7.0]], [[0.0], [1.0], [2.0]])
    >>> result.accuracy, result.auc
    (1.0, 1.0)
    """
    from scipy.stats import norm

    f = as_bank(forgot_margins, "forgot_margins", least=3)
    n = as_bank(never_margins, "never_margins", least=3)
    require_same_images(f, "forgot_margins", n, "never_margins")
    _require_variance(variance)
    ratios = []
    for r in range(max(len(f), len(n))):
        i, j = r % len(f), r % len(n)
        (mean_f, spread_f), (mean_n, spread_n) = (
            _normal_fit(rest, np.ones(rest.shape, dtype=bool), variance, as_published=False)
            for rest in (np.delete(f, i, axis=0), np.delete(n, j, axis=0))
        )
        pair = np.stack([f[i], n[j]])
        ratios.append(norm.logpdf(pair, mean_f, spread_f) - norm.logpdf(pair, mean_n, spread_n))
    forgot, never = np.stack(ratios, axis=1)
    right = ((forgot > 0) + 0.5 * (forgot == 0) + (never < 0) + 0.5 * (never == 0)) / 2
    aucs = np.array([attack_auc(one, other) for one, other in zip(forgot, never, strict=True)])
    return ULira(
        accuracy=float(right.mean()),
        per_image=right.mean(axis=0),
        auc=float(aucs.mean()),
        aucs=aucs,
        forgot=forgot,
        never=never,
    )
