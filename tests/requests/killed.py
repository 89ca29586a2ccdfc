"""What a process does that the tests kill: imports first, so that a fork has them at once."""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import workspaces

import lotus_unlearning
from lotus_unlearning import runs
from lotus_unlearning.evaluation import Evaluation, evaluate
from lotus_unlearning.report import audit_view  # noqa: F401  # what draws is imported late
from lotus_unlearning.requests import auditing
from lotus_unlearning.requests import serve as serving
from lotus_unlearning.requests import workspace as places
from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import Unlearned

DONE = 7
"""Exit status of a run that was not killed."""

torch.set_num_threads(1)


def _warm_up():
    """An evaluation; what is imported late is imported now. Gradients would not survive a fork."""
    model = runs.Architecture(**workspaces.SETTINGS.architecture).build()
    splits = Splits.from_ids(workspaces.data(), [int(i) for i in workspaces.ids()[:2]])
    return evaluate(model, splits, original=model)


EVALUATION = _warm_up()
PHASES = {
    "bank": (auditing.audits, "bank"),
    "audit": (auditing.audits, "audit"),
    "kept": (serving, "_kept"),
    "clear": (auditing, "clear"),
}
"""Where golds are trained, models compared with them, all is written, and golds taken away."""
COUNTED = "counted.json"
PACKAGE = str(Path(lotus_unlearning.__file__).parent)
WRITES = {"os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "sqlite3.connect"}


def run(folder):
    """One run, from the start of the work on.

    Its page is not drawn, which takes most of a run; and it does not wait for the disk, which only
    a power cut would tell.
    """
    Evaluation.to_html = workspaces.plain_page
    os.fsync = lambda handle: None
    with places.opened(folder, alone=True) as workspace:
        serving.serve(workspace)


def run_until(folder, step):
    """A run that kills itself before write number ``step``; it unlearns and measures nothing."""
    serving.unlearn = _quick
    serving.evaluate = lambda *_, **__: EVALUATION
    done = 0

    def count(event, arguments):
        nonlocal done
        written = event in WRITES or (event == "open" and "w" in str(arguments[1] or ""))
        if (written and str(folder) in str(arguments)) or event == "lotus.step":
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    _tell(serving, "_write", "point_to", "mark_served")
    _tell(places.entries, "add_run", "change_run", "change_request")
    _tell(places.ledger, "append")
    run(folder)
    os._exit(DONE)


def run_until_within(folder, phase, call):
    """A run that kills itself at a call of the package, number ``call`` of those within a phase.

    Args:
        folder: A workspace.
        phase: A key of ``PHASES``.
        call: From 1; 0: it is not killed, and writes to ``COUNTED`` how many calls each phase has.
    """
    done = dict.fromkeys(PHASES, 0)
    for name in PHASES:
        _watch(name, done, call if name == phase else 0)
    run(folder)
    (Path(folder) / COUNTED).write_text(json.dumps(done))
    os._exit(DONE)


def _watch(phase, done, last):
    module, name = PHASES[phase]
    function = getattr(module, name)

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            done[phase] += 1
            if done[phase] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(*args, **options):
        around = sys.getprofile()
        sys.setprofile(count)
        try:
            return function(*args, **options)
        finally:
            sys.setprofile(around)

    setattr(module, name, watched)


def _tell(module, *names):
    """Before and after each of these functions is a point to be killed at, too."""

    def told(function):
        def wrapped(*args, **options):
            sys.audit("lotus.step")
            made = function(*args, **options)
            sys.audit("lotus.step")
            return made

        return wrapped

    for name in names:
        setattr(module, name, told(getattr(module, name)))


def _quick(model, splits, method, *, seed, **how):
    import copy

    made = copy.deepcopy(model)
    with torch.no_grad():
        next(made.parameters()).add_(0.001)
    return Unlearned(made, method, [], 0.1, None, seed)
