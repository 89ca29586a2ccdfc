"""Tuning on equal terms: the same number of trials for every method, by a retrain-free objective.

    objective = RF-JSD(unlearned on forget, original on unseen)
                + max(0, accuracy of the original on retain - accuracy of the unlearned on retain)

Test images and gold models play no part: whoever has a deletion request has no gold model, and
whoever looks at the test images while choosing can no longer measure with them.
"""

import copy
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.spaces import SPACES, Range, Space
from lotus_unlearning.metrics import accuracy, rf_js_divergence, softmax
from lotus_unlearning.runtime import Runtime, choose_device
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Method, unlearn

if TYPE_CHECKING:
    import optuna

FAILED = 10.0
"""The objective of settings that end in a loss that is not finite; others stay below 2."""


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        method: With the best settings.
        settings: The ones that were searched for.
        objective: Of the best settings; less is better.
        default: Objective of the method's own defaults, which are the first trial.
        trials: How many settings were tried, the defaults among them.
    """

    method: Method
    settings: dict[str, Any]
    objective: float
    default: float
    trials: int


def tune(
    model: nn.Module,
    splits: Splits,
    name: str,
    *,
    budget: int = 20,
    seed: int = 0,
    journal: str | Path,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 128,
) -> Tuned:
    """Search the settings of a method.

    Args:
        model: The original.
        splits: With unseen images; test images are not read.
        name: A key of ``METHODS`` that has a space in ``SPACES``.
        budget: Trials in all; those that ``journal`` holds already count.
        seed: Of the search and of every unlearning in it.
        journal: File that every trial is written to; a search that was stopped goes on there.
        device: As for :func:`unlearn`.
        precision: As for :func:`unlearn`.
        batch_size: As for :func:`unlearn`.

    Returns:
        The best settings among the trials; the method's defaults where none is better.

    Raises:
        ValueError: If the method has nothing to tune, unseen images are missing, or the budget
            is below 1.
    """
    space = _space(name, splits, budget)
    score = _Score(model, splits, device)

    def objective(trial: "optuna.Trial") -> float:
        method = METHODS[name](**{key: _suggest(trial, key, space[key]) for key in space})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # settings that change nothing lose
                made = unlearn(
                    model,
                    splits,
                    method,
                    seed=seed,
                    batch_size=batch_size,
                    device=device,
                    precision=precision,
                    progress=False,
                )
        except FloatingPointError:
            return FAILED
        return score(made.model)

    study = _study(name, seed, Path(journal))
    if not study.trials:
        defaults = METHODS[name]()
        study.enqueue_trial({key: getattr(defaults, key) for key in space})
    study.optimize(objective, n_trials=max(0, budget - _finished(study)))
    done = [trial for trial in study.trials if trial.value is not None]
    settings = {key: _plain(space[key], study.best_params[key]) for key in space}
    first = min(done, key=lambda trial: trial.number)
    return Tuned(
        METHODS[name](**settings), settings, study.best_value, float(first.value or 0), len(done)
    )


class _Score:
    """The objective for one original: its own predictions are computed once."""

    def __init__(self, model: nn.Module, splits: Splits, device: str) -> None:
        self.splits, self.run = splits, Runtime(choose_device(device))
        assert splits.unseen is not None
        with self.run.prepared(copy.deepcopy(model)) as model:
            self.unseen = softmax(self.run.predict(model, splits.unseen).cpu().numpy())
            self.retained = self.run.accuracy(model, splits.retain)

    def __call__(self, model: nn.Module) -> float:
        forget, retain, unseen = self.splits.forget, self.splits.retain, self.splits.unseen
        assert unseen is not None
        with self.run.prepared(model):
            beliefs = softmax(self.run.predict(model, forget).cpu().numpy())
            answers = self.run.predict(model, retain).cpu().numpy()
        found = rf_js_divergence(beliefs, forget.labels.numpy(), self.unseen, unseen.labels.numpy())
        drop = self.retained - float(accuracy(answers, retain.labels.numpy()))
        value = float(found.mean) + max(0.0, drop)
        return value if math.isfinite(value) else FAILED


def _space(name: str, splits: Splits, budget: int) -> Space:
    problems = []
    if not SPACES.get(name):
        known = ", ".join(key for key, space in SPACES.items() if space)
        problems.append(f"method: expected one with settings to search ({known}), got {name!r}")
    if splits.unseen is None:
        problems.append("unseen: expected images that were never trained on; pass them to Splits")
    if budget < 1:
        problems.append(f"budget: expected at least 1 trial, got {budget}")
    if problems:
        raise ValueError("; ".join(problems))
    return SPACES[name]


def _study(name: str, seed: int, journal: Path) -> "optuna.Study":
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise ValueError(
            "tune: expected Optuna; install it with pip install 'lotus-unlearning[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=name,
        storage=JournalStorage(JournalFileBackend(str(journal))),
        load_if_exists=True,
    )
    # a search that goes on must not draw again what it drew first
    study.sampler = optuna.samplers.TPESampler(seed=seed + 1000 * len(study.trials))
    return study


def _finished(study: "optuna.Study") -> int:
    return sum(trial.state.is_finished() for trial in study.trials)


def _suggest(trial: "optuna.Trial", key: str, bounds: Range | tuple[str, ...]) -> Any:
    if isinstance(bounds, tuple):
        return trial.suggest_categorical(key, list(bounds))
    if isinstance(bounds.low, int) and isinstance(bounds.high, int):
        return trial.suggest_int(key, bounds.low, bounds.high, log=bounds.log)
    return trial.suggest_float(key, bounds.low, bounds.high, log=bounds.log)


def _plain(bounds: Range | tuple[str, ...], value: Any) -> Any:
    """Four significant digits are enough to write down."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
