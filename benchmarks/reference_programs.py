"""What do the published programs themselves give on our seeded arrays? Writes their numbers.

In an environment of its own, as one of the programs needs an old scikit-learn:

    pip install "scikit-learn<1.8" numpy scipy pandas torch immutabledict statsmodels
    pip download --no-deps --dest programs tensorflow-privacy==0.8.12
    pip download --no-deps --dest programs adversarial-robustness-toolbox==1.20.1
    cd programs
    for wheel in *.whl; do python -m zipfile -e $wheel .; done
    git clone https://github.com/tensorflow/privacy && git -C privacy checkout 3d499e69ba84
    ...and so on: each repository of PROGRAMS, at its commit
    cd ..
    python benchmarks/reference_programs.py programs

Functions are taken out of the files as they are, and run; nothing else in the files is, so that no
experiment begins and TensorFlow is not needed. Version 0.9.0 of tensorflow-privacy has the files no
more. tests/metrics/test_reference_programs.py compares our measures with what is written.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import reference_runs as runs

TESTS = Path(__file__).resolve().parent.parent / "tests"
PROGRAMS = {
    "tensorflow_privacy": ("PyPI tensorflow-privacy", "0.8.12"),
    "art": ("PyPI adversarial-robustness-toolbox", "1.20.1"),
    "privacy": ("GitHub tensorflow/privacy", "3d499e69ba84"),
    "ml_privacy_meter": ("GitHub privacytrustlab/ml_privacy_meter", "0b8cb7aa0fa1"),
    "membership-inference-evaluation": (
        "GitHub inspire-group/membership-inference-evaluation",
        "44532da1542c",
    ),
    "unlearning_evaluation": ("GitHub google-deepmind/unlearning_evaluation", "ffae0fff4c3e"),
    "data-unlearning-bench": ("GitHub RoyRin/data-unlearning-bench", "021993084e08"),
    "LoTUS": ("GitHub cspartalis/LoTUS", "eec7d85a3dd6"),
    "bad-teaching-unlearning": ("GitHub vikram2000b/bad-teaching-unlearning", "8086ca36c71b"),
}
"""Folder -> where it is from, and its version or commit."""


@dataclass(frozen=True)
class Case:
    """One run of one program."""

    folder: str
    file: str
    function: str
    run: Callable[[Path, dict[str, np.ndarray]], dict[str, Any]]
    arrays: dict[str, Any]


def arrays(recipe, seed=0, **sizes):
    """How ``tests/reference_arrays.py`` makes them."""
    return {"recipe": recipe, "seed": seed, **sizes}


BANK = arrays("shadow_bank", images=8, side=4)
LOGITS = arrays("predictions", images=8, classes=5)
SCORES = arrays("attack_scores", members=50, others=50)
PAIR = arrays("two_predictions", images=12, classes=4)
SPLITS = arrays("four_splits", images=100, classes=4)
ALIKE = arrays("four_splits", seed=2, images=100, classes=4, scale=0.3)
RATIOS = arrays("label_probabilities", images=8, population=20, models=6)
APART = arrays("separated_margins", models=12, images=6)
SIDES = arrays("unlearned_and_gold", models=32, images=6)
CLOSE = arrays("unlearned_and_gold", models=32, images=6, spread=0.02)

PLOT = ("privacy", "research/mi_lira_2021/plot.py")
SCORE = ("privacy", "research/mi_lira_2021/score.py")
TESTED = "privacy/privacy_tests/membership_inference_attack"
ADVANCED = ("tensorflow_privacy", f"{TESTED}/advanced_mia.py")
STRUCTURES = ("tensorflow_privacy", f"{TESTED}/data_structures.py")
ATTACK = ("tensorflow_privacy", f"{TESTED}/membership_inference_attack.py")
WORST = ("art", "metrics/privacy/worst_case_mia_score.py")
METER = ("ml_privacy_meter", "modules/mia/attacks/rmia.py")
SONG = ("membership-inference-evaluation", "membership_inference_attacks.py")
METRIC = ("unlearning_evaluation", "metric.py")
BENCH = ("data-unlearning-bench", "src/eval.py")
HELPERS = ("LoTUS", "src/helpers/eval.py")
TEACHER = ("bad-teaching-unlearning", "metrics.py")

FORGET = "_get_epsilons, compute_forget_score_from_confs"
CASES = {
    "lira": Case(*PLOT, "generate_ours, generate_ours_offline", runs.mi_lira, BANK),
    "lira sweep": Case(*PLOT, "sweep", runs.mi_lira_sweep, SCORES),
    "lira margin": Case(*SCORE, "load_one", runs.mi_lira_scores, LOGITS),
    "tfp lira": Case(*ADVANCED, "compute_score_lira", runs.tfp_lira, BANK),
    "tfp statistics": Case(*ADVANCED, "calculate_statistic", runs.tfp_statistics, LOGITS),
    "tfp entropies": Case(*STRUCTURES, "AttackInputData._get_entropy", runs.tfp_entropies, LOGITS),
    "tfp threshold": Case(*ATTACK, "_run_threshold_attack", runs.tfp_threshold, SCORES),
    "art rates": Case(*WORST, "get_roc_for_fpr", runs.art_rates, SCORES),
    "rmia": Case(*METER, "run_rmia", runs.rmia, RATIOS),
    "song mittal scores": Case(*SONG, "black_box_benchmarks", runs.song_mittal_scores, LOGITS),
    "song mittal threshold": Case(
        *SONG, "_thre_setting, _mem_inf_thre", runs.song_mittal_threshold, SCORES
    ),
    "forgetting quality": Case(*METRIC, FORGET, runs.forgetting, APART),
    "forgetting quality, close": Case(*METRIC, FORGET, runs.forgetting, CLOSE),
    "forgetting margin": Case(
        *METRIC, "compute_logit_scaled_confidence", runs.scaled_confidence, LOGITS
    ),
    "klom": Case(*BENCH, "kl_from_margins", runs.klom, SIDES),
    "klom margin": Case(*BENCH, "get_margin", runs.bench_margin, LOGITS),
    "lotus divergences": Case(*HELPERS, "JSDiv, log_js_proxy", runs.lotus_divergences, PAIR),
    "lotus attack": Case(*HELPERS, "log_mia", runs.lotus_attack, SPLITS),
    "lotus attack, alike": Case(*HELPERS, "log_mia", runs.lotus_attack, ALIKE),
    "zrf": Case(*TEACHER, "UnLearningScore", runs.zrf, PAIR),
}


def entry(case, programs, recipes):
    """What is written of one case."""
    recipe = dict(case.arrays)
    made = getattr(recipes, recipe.pop("recipe"))(**recipe)
    found = case.run(programs / case.folder / case.file, made)
    source, version = PROGRAMS[case.folder]
    return {
        "source": source,
        "version": version,
        "file": f"{case.folder}/{case.file}" if source.startswith("PyPI") else case.file,
        "function": case.function,
        "arrays": case.arrays,
        "sum": float(sum(array.sum() for array in made.values())),
        "numbers": {name: np.asarray(value).tolist() for name, value in found.items()},
    }


def main():
    """Run all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("programs", type=Path, help="folder with unpacked wheels and clones")
    parser.add_argument("--out", type=Path, default=TESTS / "metrics" / "reference_numbers.json")
    options = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    import reference_arrays

    place = options.programs.resolve()
    entries = {name: entry(case, place, reference_arrays) for name, case in CASES.items()}
    options.out.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
