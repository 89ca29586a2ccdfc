import inspect
import math
import subprocess
import sys

import numpy as np
import pytest

from lotus_unlearning import metrics
from lotus_unlearning.metrics import METRICS, accuracy, attack_auc, softmax

EXPECTED = {
    "auc_confidence", "auc_entropy", "auc_gradient_norm", "auc_lira", "auc_loss", "auc_margin",
    "auc_modified_entropy", "auc_rmia", "average_gap", "best_threshold", "closes",
    "entropy_attack", "entropy_distance", "forget_accuracy", "forgetting_quality",
    "js_divergence", "jsd_to_golds", "klom", "outside_gold_band", "retain_accuracy",
    "rf_js_divergence", "test_accuracy", "tpr_at_0_1_percent", "tpr_at_1_percent", "u_lira",
    "unseen_accuracy", "zrf",
}  # fmt: skip


def test_every_measure_of_an_evaluation_has_a_row():
    assert set(METRICS) == EXPECTED


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_row_says_everything(name):
    metric = METRICS[name]
    assert metric.name == name
    assert callable(metric.function)
    assert metric.direction in ("up", "down", "near gold")
    assert metric.lower < metric.upper
    assert metric.unit in ("share", "nats", "")
    assert set(metric.needs) <= {"gold", "original", "unseen", "test", "golds"}
    assert metric.definition.endswith(".")
    assert metric.source


def test_all_accuracies_are_one_function_and_so_are_all_aucs():
    assert {METRICS[n].function for n in METRICS if n.endswith("_accuracy")} == {accuracy}
    assert {METRICS[n].function for n in METRICS if n.startswith("auc_")} == {attack_auc}


def test_divergences_are_bounded_by_ln_2():
    assert METRICS["js_divergence"].upper == METRICS["rf_js_divergence"].upper == math.log(2)


def test_the_export_list_names_every_public_function_and_record():
    public = {
        name
        for name, value in vars(metrics).items()
        if not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value))
    }
    assert public <= set(metrics.__all__)
    assert all(hasattr(metrics, name) for name in metrics.__all__)


def test_importing_the_metrics_loads_neither_scipy_nor_sklearn_nor_torch():
    code = (
        "import sys, lotus_unlearning.metrics; "
        "print([m for m in ('scipy', 'sklearn', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_array_functions_accept_float32_and_compute_in_float64():
    z = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    p, q = softmax(z), softmax(z[::-1])
    values = metrics.js_divergence(p, q)
    assert p.dtype == values.dtype == metrics.entropy(p).dtype == np.float64
