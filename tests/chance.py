"""What chance alone allows, for tests that count how often an interval is right."""

from scipy.stats import binom


def likely(repeats, share, doubt=1e-4):
    """Counts that a share gives in all but ``doubt`` of cases."""
    return binom.ppf(doubt / 2, repeats, share), binom.isf(doubt / 2, repeats, share)
