"""A search: the defaults, then what the finished trials suggest, until the budget is spent."""

import dataclasses
import statistics
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lotus_unlearning.methods.presets import authors
from lotus_unlearning.methods.settings import as_trained, default, setting, with_settings
from lotus_unlearning.methods.spaces import Space, rules_of, space
from lotus_unlearning.runtime import Runtime, choose_device, choose_precision
from lotus_unlearning.splits import Splits
from lotus_unlearning.training import Recipe
from lotus_unlearning.tuning.alone import alone, require_one_process
from lotus_unlearning.tuning.facts import Facts, facts
from lotus_unlearning.tuning.journal import drawn, finished, keep, opened, require_optuna
from lotus_unlearning.tuning.objective import Place, draws_of, tried
from lotus_unlearning.tuning.trial import FAILED, Trial
from lotus_unlearning.unlearning import Method

_DRAWS = 2


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        name: The name of the method.
        best: The trial with the lowest objective, the first of them.
        default: The trial of the method's own defaults (of a whole class: its authors' for that).
        unchanged: The objective of the original, as it is.
        trials: All trials, the defaults first.
        facts: All that the trials depend on, as plain data.
    """

    name: str
    best: Trial
    default: Trial
    unchanged: float
    trials: tuple[Trial, ...] = field(repr=False)
    facts: Facts = field(repr=False)

    @property
    def method(self) -> Method:
        """With the best settings."""
        return with_settings(self.name, self.best.settings)

    @property
    def noise_floor(self) -> float | None:
        """Standard deviation between the draws of the defaults; ``None``: there is one draw.

        Of a method that draws nothing (SSD), on one fixed set of images, it is 0.
        """
        return self.default.deviation

    @property
    def better_than_noise(self) -> bool | None:
        """Whether the best is better than the defaults by more than the noise floor."""
        if self.noise_floor is None:
            return None
        return self.default.value - self.best.value > self.noise_floor


def tune(
    model: nn.Module,
    splits: Splits | Sequence[Splits],
    name: str,
    *,
    budget: int = 20,
    draws: int | None = None,
    seed: int = 0,
    journal: str | Path,
    recipe: Recipe | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 128,
    progress: bool = True,
) -> Tuned:
    """Search the settings of a method; the module says by which objective and its weaknesses.

    Args:
        model: The original.
        splits: The images to forget and to retain, with unseen ones; test images are not read. Of
            several splits, each draw takes the next.
        name: A key of ``SPACES``, or ``python:MODULE:CLASS`` that says what it ``searches``.
        budget: The number of trials in all; those that ``journal`` holds count.
        draws: The number of unlearnings of each trial, whose mean is its objective; default: one
            for each of ``splits``, and at least 2.
        seed: The seed of the search and of the first draw's unlearning; the next draw's is one
            higher.
        journal: The file that every finished trial is written to; a search that was stopped goes on
            there, to the same result.
        recipe: How the original was trained, where that is known: the search for a method that
            trains a network anew begins at what suits it (its ``as_trained``).
        device: The device, as for :func:`lotus_unlearning.unlearn`.
        precision: The type of number to compute in, as for :func:`lotus_unlearning.unlearn`.
        batch_size: Images per step of a method that has no size of its own.
        progress: Whether a line is printed to standard error for every finished trial.

    Returns:
        The best of the trials, which is the method's defaults where none is better.

    Raises:
        ValueError: If the method has nothing to tune, unseen images are missing, a number is too
            low, ``journal`` holds another search, or another process is at work there.
    """
    sets = [splits] if isinstance(splits, Splits) else list(splits)
    count = max(_DRAWS, len(sets)) if draws is None else draws
    _check(name, sets, budget, count, seed)
    require_one_process()
    require_optuna()
    sets = [dataclasses.replace(one, test=None) for one in sets]
    chosen = [(sets[draw % len(sets)], seed + draw) for draw in range(count)]
    place, start = _place(device, precision, batch_size), _start(name, sets, recipe)
    bounds = space(name, sets, batch_size, start)
    defaults = {**_fixed(name, start, bounds), **{key: setting(start, key) for key in bounds}}
    with alone(Path(journal)):
        known = facts(model, chosen, start, bounds, seed, place)
        study = opened(Path(journal), name, known, bounds)
        measured = draws_of(model, chosen, Runtime(place.device))
        done = finished(study)
        if done and progress:
            _say(f"{name}: {len(done)} finished trials in {journal}")
        while (settings := _next(bounds, defaults, done, budget, seed)) is not None:
            method = with_settings(name, settings)
            keep(study, bounds, tried(method, settings, model, measured, place))
            done = finished(study)
            if progress:
                _say(_line(name, done, budget))
    unchanged = statistics.fmean(draw.unchanged for draw in measured)
    return _result(name, defaults, done, budget, unchanged, known)


def _check(name: str, sets: Sequence[Splits], budget: int, draws: int, seed: int) -> None:
    problems = []
    try:
        rules_of(name)
    except ValueError as error:
        problems.append(str(error))
    if not sets:
        problems.append("splits: expected at least one, got none")
    if any(s.unseen is None or not len(s.unseen) for s in sets):
        problems.append("unseen: expected images that were never trained on; pass them to Splits")
    elif not all(torch.isin(s.unseen.labels, s.forget.labels).any() for s in sets if s.unseen):
        problems.append("unseen: expected images of the classes of forget, got none; add some")
    if budget < 1:
        problems.append(f"budget: expected at least 1 trial, got {budget}")
    if draws < max(1, len(sets)):
        problems.append(
            f"draws: expected at least one for each of {max(1, len(sets))} splits, got {draws}"
        )
    if seed < 0:
        problems.append(f"seed: expected at least 0, got {seed}")
    if problems:
        raise ValueError("; ".join(problems))


def _place(device: str, precision: str, batch_size: int) -> Place:
    where = choose_device(device)
    return Place(where, str(choose_precision(precision, where)).removeprefix("torch."), batch_size)


def _start(name: str, sets: Sequence[Splits], recipe: Recipe | None) -> Method:
    """Where the search begins: the authors' settings, as suits the original, if known."""
    start = authors(name, _whole(sets))
    return start if recipe is None else as_trained(start, recipe)


def _whole(sets: Sequence[Splits]) -> bool:
    """Whether nothing but whole classes is forgotten."""
    return all(len(s.gone) == len(torch.unique(s.forget.labels)) for s in sets)


def _fixed(name: str, start: Method, bounds: Space) -> dict[str, Any]:
    """The settings of ``start`` that are neither the method's defaults nor searched."""
    searched = {key.partition(".")[0] for key in bounds}
    return {
        key: value
        for key, value in _single(start, searched)
        if key not in bounds and value != default(name, key)
    }


def _single(start: Any, records: Collection[str]) -> Iterator[tuple[str, Any]]:
    """All settings; those of ``records``, of which some are searched, one by one."""
    for one in dataclasses.fields(start):
        value = getattr(start, one.name)
        if one.name in records and dataclasses.is_dataclass(value):
            within = dataclasses.fields(value)
            yield from ((f"{one.name}.{f.name}", getattr(value, f.name)) for f in within)
        else:
            yield one.name, value


def _next(
    bounds: Space, defaults: dict[str, Any], done: Sequence[Trial], budget: int, seed: int
) -> dict[str, Any] | None:
    """What to try next: the defaults unless they were; ``None`` when the budget is spent."""
    if all(trial.settings != defaults for trial in done):
        return defaults
    return {**defaults, **drawn(bounds, done, seed)} if len(done) < budget else None


def _result(
    name: str,
    defaults: dict[str, Any],
    done: Sequence[Trial],
    budget: int,
    unchanged: float,
    known: Facts,
) -> Tuned:
    first = next(trial for trial in done if trial.settings == defaults)
    others = [trial for trial in done if trial is not first]
    trials = (first, *others[: budget - 1])
    best = min(trials, key=lambda trial: trial.value)
    return Tuned(name, best, first, unchanged, trials, known)


def _line(name: str, done: Sequence[Trial], budget: int) -> str:
    best = min(trial.value for trial in done)
    value = "not finite" if done[-1].value == FAILED else f"{done[-1].value:.6f}"
    return f"{name}: trial {len(done)} of {budget}: {value}, best so far {best:.6f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
