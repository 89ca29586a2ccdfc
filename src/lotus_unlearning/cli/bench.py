"""``lotus bench``: a table of the paper, or a grid of your own."""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning.benchmark import preflight, render
from lotus_unlearning.benchmark.cells import Cell, title
from lotus_unlearning.benchmark.estimate import estimates
from lotus_unlearning.benchmark.grid import Grid, with_pretrained
from lotus_unlearning.benchmark.materials import Place
from lotus_unlearning.benchmark.page import page
from lotus_unlearning.benchmark.read import grids, read_grid
from lotus_unlearning.benchmark.summary import summarise
from lotus_unlearning.benchmark.tables import tables, without_empty_columns
from lotus_unlearning.benchmark.work import run
from lotus_unlearning.cli import parsing
from lotus_unlearning.cli.options import say, show
from lotus_unlearning.files.folders import replace_text
from lotus_unlearning.jobs.executors import Executor, InProcesses, InThisProcess
from lotus_unlearning.jobs.job import Made
from lotus_unlearning.jobs.on_ray import OnRay
from lotus_unlearning.jobs.pace import Pace
from lotus_unlearning.jobs.schedule import (
    Progress,
    Watcher,
    failures,
    order,
    run_all,
    unfinished,
)
from lotus_unlearning.jobs.store import Store
from lotus_unlearning.report import render_results
from lotus_unlearning.report.page import seconds

_EXAMPLES = """
lotus bench table1 --blocks digits --seeds 5
lotus bench table1 --blocks digits fashion-mnist --dry_run
lotus bench my-grid.yaml --jobs 2 --out results
lotus bench table2                # CIFAR-10 as in the paper
lotus bench table2 --pretrained false       # where there are no published weights
lotus bench table1 --blocks digits --show   # only the tables, of what is finished
"""
_LONGEST = 200
"""Characters of a file's name, without its ending."""
_CHANGES = ("blocks", "methods", "settings", "measures", "seeds", "golds")


def main(words: list[str]) -> int:
    """Run what is not finished yet, then print and write the tables.

    Returns:
        1 if a cell failed, else 0.
    """
    parser = parsing.parser("bench", "Run a grid of methods and make its tables.", _EXAMPLES)
    parser.add_argument("grid", type=str, help=f"{', '.join(grids())}, or a YAML file")
    _add_changes(parser)
    _add_place(parser)
    parser.add_argument("--dry_run", action="store_true", help="list what would be run, and stop")
    parser.add_argument("--show", action="store_true", help="only the tables, of what is finished")
    chosen = parsing.parse(parser, words)
    if chosen.jobs < 1:
        raise ValueError(f"jobs: expected at least 1, got {chosen.jobs}")
    changes = {key: value for key in _CHANGES if (value := getattr(chosen, key)) is not None}
    grid = read_grid(chosen.grid, changes)
    if chosen.pretrained is not None:
        grid = with_pretrained(grid, chosen.pretrained)
    store = Store(Path(chosen.out))
    place = Place(chosen.device, chosen.root)
    if chosen.dry_run:
        _list(grid, store, place, chosen)
        return 0
    failed = (
        failures(grid.cells(), store) if chosen.show else _run(grid, store, place, chosen).failed
    )
    _write(grid, store, Path(chosen.out) / "tables" / _file_name(grid, chosen))
    for cell, error in failed.items():
        say(f"failed: {title(cell)}: {_in_short(error)}")
    return 1 if failed else 0


def _file_name(grid: Grid, chosen: Any) -> str:
    """Of the tables: runs of other blocks, seeds and so on have files of their own."""
    parts = [str(one) for key in _CHANGES if key != "seeds" for one in _named(chosen, key)]
    if chosen.seeds is not None:
        parts.append(f"{grid.seeds.split}-seeds")
    if chosen.pretrained is not None:
        parts.append("pretrained" if chosen.pretrained else "not-pretrained")
    name = re.sub(r"[^\w.,() -]", ".", "-".join([Path(chosen.grid).stem, *parts]))
    if len(name) <= _LONGEST and name.isascii():
        return name
    digest = blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{name.encode('ascii', 'replace').decode().replace('?', '.')[:_LONGEST]}-{digest}"


def _named(chosen: Any, key: str) -> list[str]:
    """What was chosen in place of the grid's own, in words."""
    found = getattr(chosen, key)
    return [f"{found}-golds"] if key == "golds" and found is not None else list(found or ())


def _in_short(error: str) -> str:
    """One line of a message or a traceback."""
    lines = error.strip().splitlines()
    return lines[-1 if lines[0].startswith("Traceback") else 0]


def _add_changes(made: ArgumentParser) -> None:
    """What stands in the place of the grid's own entries."""
    words = str
    made.add_argument("--blocks", type=words, nargs="+", help="data and models, by name")
    made.add_argument("--methods", type=words, nargs="+", help="some of them, by name")
    made.add_argument("--settings", type=words, nargs="+", help="paper, authors, tuned")
    made.add_argument("--measures", type=words, nargs="+", help="columns of the table")
    made.add_argument("--seeds", type=int | None, help="choices of images to forget")
    made.add_argument("--golds", type=int | None, help="retrained models for each of them")

    made.add_argument(
        "--pretrained", type=bool | None, help="start from published weights; the grid says which"
    )


def _add_place(made: ArgumentParser) -> None:
    made.add_argument("--out", type=str, default="results", help="folder of cells and tables")
    made.add_argument("--jobs", type=int, default=1, help="cells at once on this machine")
    made.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1, ...")
    made.add_argument("--root", type=str | None, default=None, help="folder of the data sets")
    made.add_argument("--ray", type=str | None, default=None, help="address of a Ray cluster")
    made.add_argument("--cpus", type=float, default=1, help="cores of a cell on the cluster")
    made.add_argument("--gpus", type=float, default=0, help="GPUs of a cell on the cluster")
    made.add_argument("--track", type=str | None, default=None, help="mlflow: log every cell there")
    made.add_argument(
        "--keep_predictions", action="store_true", help="of unlearned models, beside the cells"
    )


def _list(grid: Grid, store: Store, place: Place, chosen: Any) -> None:
    with closing(_executor(place, chosen, jobs=1)) as executor:
        found = _ready(grid, store, place, executor, chosen)
    targets = list(found.grid.cells())
    cells = order(targets)
    todo = unfinished(cells, store)
    on_cluster = chosen.ray is not None
    expected = estimates(todo, cells, store, None if on_cluster else place, found.later)
    for cell in todo:
        took = seconds(expected[cell]) if cell in expected else "no estimate"
        show(f"{took:>12}  {title(cell)}")
    jobs = 1 if on_cluster else chosen.jobs
    print(
        f"{len(todo)} cells to run of {len(cells)}, {_time(todo, expected, jobs)}; the tables need "
        f"{len(targets)} of them, the others are models that these share"
    )
    for what in found.later.values():
        say(what)


def _time(todo: Sequence[Cell], expected: Mapping[Cell, float], jobs: int) -> str:
    """For how long they run, in words."""
    if todo and not expected:
        return "for how long is not known before some are finished"
    total, unknown = sum(expected.values()), len(todo) - len(expected)
    others = f" (without {unknown} of which nothing is known)" if unknown else ""
    alone = f"about {seconds(total)} one after another{others}"
    return alone if jobs == 1 else f"{alone}, {seconds(total / jobs)} at best with {jobs} at once"


def _ready(
    grid: Grid, store: Store, place: Place, executor: Executor[Cell], chosen: Any
) -> preflight.Ready:
    """The grid without the blocks whose data are absent; they are named."""
    found = preflight.ready(
        grid, store, place, executor.call, may_skip=chosen.blocks is None, dry=chosen.dry_run
    )
    if found.skipped:
        skipped, left = ", ".join(found.skipped), ", ".join(found.grid.blocks)
        say(
            f"skipped, as their data or weights are absent: {skipped}; the same command runs them "
            f"when these are there. It goes on with {left}.\n" + "\n".join(found.absent)
        )
    return found


def _run(grid: Grid, store: Store, place: Place, chosen: Any) -> Progress[Cell]:
    watchers: list[Watcher[Cell]] = [_Lines().watch]
    if chosen.track is not None:
        from lotus_unlearning.benchmark.tracking import tracker

        watchers.append(tracker(chosen.track))

    def watch(progress: Progress[Cell], cell: Cell | None, made: Made | None) -> None:
        for watcher in watchers:
            watcher(progress, cell, made)

    with closing(_executor(place, chosen, chosen.jobs)) as executor:
        store.tidy()
        targets = _ready(grid, store, place, executor, chosen).grid.cells()
        return run_all(targets, store, executor, watch, keep_files=chosen.keep_predictions)


def _executor(place: Place, chosen: Any, jobs: int) -> Executor[Cell]:
    work = partial(run, place=place)
    if chosen.ray is not None:
        return OnRay(chosen.ray, work, cpus=chosen.cpus, gpus=chosen.gpus, called="cell")
    if jobs > 1:
        return InProcesses(jobs, work)
    return InThisProcess(work)


class _Lines:
    """A line for each finished cell: how many are done, at work and left, and for how long."""

    def __init__(self) -> None:
        self._pace = Pace()

    def watch(self, progress: Progress[Cell], cell: Cell | None, made: Made | None) -> None:
        """Told of every change."""
        if cell is None:
            return
        at_work, failed = len(progress.running), len(progress.failed)
        rest = self._pace.rest(progress.left + at_work)
        took = "failed" if made is None else seconds(made.record["cell_seconds"])
        say(
            f"{progress.done} of {progress.total} done, {at_work} at work, "
            f"{f'{failed} failed, ' if failed else ''}{progress.left} left (about "
            f"{seconds(rest)}): {title(cell)}: {took}"
        )


def _write(grid: Grid, store: Store, base: Path) -> None:
    parts = summarise(grid, store)
    made = [without_empty_columns(table) for table in tables(grid, parts)]
    if not made:
        say("no table yet: nothing is finished")
        return
    show("\n".join(render.as_text(table) for table in made))
    base.parent.mkdir(parents=True, exist_ok=True)
    texts = {
        "md": "\n".join(render.as_markdown(table) for table in made),
        "tex": "\n".join(render.as_latex(table) for table in made),
        "csv": render.as_csv(made),
        "html": render_results(page(grid, parts, made)),
    }
    for ending, text in texts.items():
        replace_text(base.with_name(f"{base.name}.{ending}"), text)
    say(f"tables: {base}.html, .md, .tex, .csv")
