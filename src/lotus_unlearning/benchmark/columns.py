"""The measures that tables can show: what they are called, what is good, how they are written."""

from dataclasses import dataclass
from typing import Literal

Good = Literal["up", "down", "near gold"]


@dataclass(frozen=True)
class Column:
    """A measure in tables.

    Attributes:
        label: The heading of the column.
        good: The good direction: more, less, or as gold has it.
        pattern: The format of a value, after ``scale``.
        scale: The number that values are multiplied by.
        about: One sentence about what the measure is.
        published: The name of the measure in the published results; ``None``: it is not there.
    """

    label: str
    good: Good
    pattern: str
    scale: float = 1.0
    about: str = ""
    published: str | None = None

    def text(self, value: float) -> str:
        """A value as it is written; never a negative zero."""
        written = self.pattern.format(self.scale * value)
        return written.lstrip("-") if not written.strip("-0.") else written


def _accuracy(split: str, good: Good, published: str | None = None) -> Column:
    about = f"Share of {split} images that are classified right, in percent."
    return Column(f"{split.capitalize()} acc. %", good, "{:.1f}", 100, about, published)


def _loss(split: str, good: Good) -> Column:
    return Column(f"{split.capitalize()} loss", good, "{:.3f}", 1, f"Mean cross-entropy, {split}.")


def _attack(score: str) -> Column:
    about = f"Area under the curve of telling forget from unseen images by their {score}."
    return Column(f"AUC by {score}", "near gold", "{:.3f}", 1, about)


COLUMNS = {
    "average_gap": Column(
        "Avg gap",
        "down",
        "{:.4f}",
        about="Mean distance from the golds in entropy attack, forget, retain and test accuracy.",
    ),
    "average_gap_as_published": Column(
        "Avg gap, as published",
        "down",
        "{:.4f}",
        about="The same of means over seeds, everything rounded to two decimals.",
        published="avg_gap",
    ),
    "js_divergence": Column(
        "JSD x1e3",
        "down",
        "{:.2f}",
        1e3,
        "Mean Jensen-Shannon divergence from the golds on forget images, in 1/1000 nats.",
    ),
    "jsd_as_published": Column(
        "JSD x1e4, as published",
        "down",
        "{:.3f}",
        1e4,
        "What the code behind the published tables computes; it shrinks with the forget set.",
        "jsd",
    ),
    "rf_js_divergence": Column(
        "RF-JSD x1e3",
        "near gold",
        "{:.2f}",
        1e3,
        "Divergence of class means on forget images from the original's on unseen ones; the "
        "gold's is the aim, not 0.",
    ),
    "rf_jsd_as_published": Column(
        "RF-JSD x1e4, as published",
        "down",
        "{:.3f}",
        1e4,
        "What the code behind the published tables computes.",
        "rf_jsd",
    ),
    "closes": Column(
        "Closes %",
        "up",
        "{:.0f}",
        100,
        "How much of the way from the original to the golds was gone; below 0: moved away; above "
        "100 is no better than 100.",
    ),
    "forget_accuracy": _accuracy("forget", "near gold"),
    "retain_accuracy": _accuracy("retain", "near gold", "retain_acc"),
    "unseen_accuracy": _accuracy("unseen", "near gold"),
    "test_accuracy": _accuracy("test", "near gold"),
    "forget_loss": _loss("forget", "near gold"),
    "retain_loss": _loss("retain", "near gold"),
    "test_loss": _loss("test", "near gold"),
    "entropy_attack": Column(
        "Entropy attack %",
        "near gold",
        "{:.1f}",
        100,
        "Share of forget images that the paper's attack takes for training images.",
        "mia_acc",
    ),
    "auc_entropy": _attack("entropy"),
    "auc_confidence": _attack("confidence"),
    "auc_loss": _attack("loss"),
    "entropy_distance": Column(
        "Entropy KS",
        "near gold",
        "{:.3f}",
        about="Kolmogorov-Smirnov distance between the entropies of forget and unseen images.",
    ),
    "seconds": Column("Seconds", "down", "{:.1f}", about="Of the method itself.", published="time"),
    "peak_memory_bytes": Column(
        "Peak MB", "down", "{:.0f}", 1e-6, "Above the loaded model and data."
    ),
}
"""Measure -> column."""

WITHOUT_TEST = ("seconds", "peak_memory_bytes", "average_gap_as_published")
"""Measures whose best is not tested: time says more about machines, the other has no seeds."""
