"""The file of a search: Optuna's journal, which gets a line when a trial is finished.

What is tried next depends on the finished trials, the space and the seed alone. So a search that
was stopped goes on exactly as if it had not been: a trial that was cut short has left nothing.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lotus_unlearning.methods.spaces import Range, Space, four_digits
from lotus_unlearning.tuning.facts import Facts, refuse_others
from lotus_unlearning.tuning.trial import Trial

if TYPE_CHECKING:
    import optuna

_FACTS = "facts"
_LONGEST = 200


def require_optuna() -> None:
    """Say how to install it.

    Raises:
        ValueError: If it is not.
    """
    try:
        import optuna
    except ImportError:
        raise ValueError(
            "tune: expected Optuna; install it with pip install 'lotus-unlearning[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def opened(path: Path, name: str, facts: Facts, bounds: Space) -> "optuna.Study":
    """The study of method ``name`` in the journal at ``path``, new or with its trials.

    The caller is alone there; see :func:`lotus_unlearning.tuning.alone.alone`.

    Raises:
        ValueError: If it is the study of another search, or the file is damaged.
    """
    _mend(path)
    with _undamaged(path):
        _require_json(path)
        study = _study(path, name)
        known, empty = study.user_attrs.get(_FACTS), not study.trials
    if known is None and empty:
        study.set_user_attr(_FACTS, facts)
    else:
        refuse_others(known or {}, facts, path)
    with _undamaged(path):
        for trial in finished(study):
            _frozen(bounds, trial)
    return study


def _study(path: Path, name: str) -> "optuna.Study":
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(path)))
    if name in optuna.study.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage)


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """Within the block, Optuna's errors over a broken line say which file it is in."""
    try:
        yield
    except OSError:  # of the disk
        raise
    except Exception as error:
        raise ValueError(
            f"{path}: expected trials as they were written, but the file is damaged "
            f"({type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}); remove it to "
            "begin anew (where the search has ended, its trials.csv holds what was found)"
        ) from error


def _mend(path: Path) -> None:
    """Take out what a process left that was killed while it wrote: half a line, Optuna's lock."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.is_file():
        lines = path.read_bytes()
        whole = lines[: lines.rfind(b"\n") + 1]
        if whole != lines:
            path.write_bytes(whole)


def _require_json(path: Path) -> None:
    """Optuna passes over a last line that is broken, until another one follows."""
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        json.loads(line)


def finished(study: "optuna.Study") -> list[Trial]:
    """The trials that have an objective, in order."""
    done = (trial.user_attrs for trial in study.trials if trial.value is not None)
    return [
        Trial(kept["settings"], tuple(kept["values"]), tuple(kept["warnings"]), kept["seconds"])
        for kept in done
    ]


def keep(study: "optuna.Study", bounds: Space, trial: Trial) -> None:
    """Add a finished trial: one line of the journal."""
    study.add_trial(_frozen(bounds, trial))


def drawn(bounds: Space, done: Sequence[Trial], seed: int) -> dict[str, Any]:
    """Settings to try after those of ``done``, by Optuna's tree-structured Parzen estimator."""
    import optuna

    stream = np.random.SeedSequence([seed, len(done)]).generate_state(1)[0]
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(stream)))
    study.add_trials([_frozen(bounds, trial) for trial in done])
    asked = study.ask({_parameter(key, known): _spread(known) for key, known in bounds.items()})
    return {
        key: _setting(known, asked.params[_parameter(key, known)]) for key, known in bounds.items()
    }


def _frozen(bounds: Space, trial: Trial) -> "optuna.trial.FrozenTrial":
    import optuna

    return optuna.trial.create_trial(
        params={
            _parameter(key, known): 1 - trial.settings[key] if known.rest else trial.settings[key]
            for key, known in bounds.items()
        },
        distributions={_parameter(key, known): _spread(known) for key, known in bounds.items()},
        value=trial.value,
        user_attrs={
            "settings": trial.settings,
            "values": list(trial.values),
            "warnings": list(trial.warnings),
            "seconds": trial.seconds,
        },
    )


def _parameter(key: str, bounds: Range) -> str:
    return f"1 - {key}" if bounds.rest else key


def _spread(bounds: Range) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(bounds.low, int) and isinstance(bounds.high, int):
        return IntDistribution(bounds.low, bounds.high, log=bounds.log)
    low, high = bounds.low, bounds.high
    if bounds.rest:
        low, high = 1 - bounds.high, 1 - bounds.low
    return FloatDistribution(low, high, log=bounds.log)


def _setting(bounds: Range, drawn: int | float) -> int | float:
    if isinstance(drawn, int):
        return drawn
    return four_digits(1 - drawn if bounds.rest else drawn)
