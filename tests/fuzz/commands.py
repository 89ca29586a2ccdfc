"""Files that commands read, the commands, and what must hold whatever stands in the files."""

import contextlib
import io
import os
import re
import resource
import shutil
import time
import traceback
import unicodedata
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import contents
from inputs import BANK, CACHE, KEPT, ONE, SMALL

from lotus_unlearning.cli import main

_HEAVY = (
    "lotus_unlearning.cli.unlearn.unlearn",
    "lotus_unlearning.cli.train.train",
    "lotus_unlearning.cli.train.unlearn",
    "lotus_unlearning.requests.serve.unlearn",
    "lotus_unlearning.cli.bank.bank",
    "lotus_unlearning.cli.evaluate.evaluate",
    "lotus_unlearning.cli.tune.tune",
    "lotus_unlearning.audit.audits.Evidence",
)


_PYTHONS = re.compile(
    r"object (is not|has no attribute)|not supported between|unsupported operand|unhashable type"
    r"|unexpected keyword|positional argument|values to unpack|zip\(\) argument|os\.PathLike"
)
"""Errors that commands print because they are expected, though nobody worded these."""


@dataclass(frozen=True)
class Target:
    """A file that a command reads.

    Attributes:
        file: Its path in the folder of inputs, or a pattern of which the first is taken.
        drawn: Makes a strategy of its right contents.
        words: The command.
        writes: What the command may change in the folder of inputs.
        heavy: Whether it may do its work; else it stops where that would begin.
    """

    file: str
    drawn: object
    words: tuple[str, ...]
    writes: str = "nothing"
    heavy: bool = False


def _configured(*words):
    """A command whose options stand in a config that a person wrote."""
    file = f"{words[0]}.yaml"
    return Target(file, contents.configs, (*words, "--config", f"in/{file}", "--out", "out/x"))


_RUN = ("unlearn", "--model", "in/run", "--forget", "0.1", "--out", "out/x")
_WEIGHTS = ("--architecture", "resnet-thin", *SMALL, "--forget", "0.1", "--out", "out/x")
_OF_RUN = ("bank", *BANK[1:-1], "out/b")
_MEASURED = ("evaluate", "--unlearned", "in/unlearned", "--gold", "in/gold", "--out", "out/x")
_AUDITED = ("audit", "--run", "in/unlearned", "--golds", "in/bank", "--out", "out/x")
_SHOWN = ("bench", "in/grid.yaml", "--out", "in/results", "--show")
_TABLES = "results/tables"
_ANY_DATA = ("train", *ONE, "--out", "out/x", "--data")
TARGETS = {
    "ids": Target("ids.txt", contents.ids, (*_RUN[:4], "in/ids.txt", *_RUN[5:])),
    "ids-edited": Target("ids.csv", contents.tables, (*_RUN[:4], "in/ids.csv", *_RUN[5:])),
    "config": Target("config.yaml", contents.yamls, ("train", "--config", "in/config.yaml")),
    "config-of-unlearn": _configured("unlearn"),
    "config-of-audit": _configured("audit"),
    "config-of-tune": _configured("tune", "scrub"),
    "config-of-evaluate": _configured("evaluate"),
    "grid": Target("grid.yaml", contents.yamls, ("bench", "in/grid.yaml", "--dry_run")),
    "weights": Target(
        "w.safetensors", contents.weights, ("unlearn", "--model", "in/w.safetensors", *_WEIGHTS)
    ),
    "checkpoint": Target("w.pt", contents.edited, ("unlearn", "--model", "in/w.pt", *_WEIGHTS)),
    "kept": Target(
        "kept/checkpoint.safetensors", contents.checkpoints, KEPT, writes="kept", heavy=True
    ),
    "manifest": Target("run/manifest.json", contents.jsons, _RUN),
    "config-of-run": Target("run/config.yaml", contents.yamls, _RUN),
    "history": Target("run/history.jsonl", contents.json_lines, _RUN),
    "config-of-model": Target("run/config.yaml", contents.yamls, _OF_RUN),
    "config-inherited": Target(
        "run/config.yaml",
        contents.yamls,
        ("request", "init", "--model", "in/run", "--method", "finetune", "--workspace", "out/w"),
    ),
    "manifest-measured": Target("unlearned/manifest.json", contents.jsons, _MEASURED),
    "manifest-of-gold": Target("gold/manifest.json", contents.jsons, _MEASURED),
    "weights-of-run": Target("run/model.safetensors", contents.weights, _RUN),
    "metrics": Target(
        "unlearned/metrics.json", contents.jsons, ("report", "in/unlearned", "--out", "out/p.html")
    ),
    "workspace": Target(
        "deletion/lotus.yaml",
        contents.yamls,
        ("request", "run", "--workspace", "in/deletion"),
        writes="deletion",
    ),
    "record": Target(
        "record/SHA256SUMS", contents.tables, ("request", "verify", "in/record", "--json")
    ),
    "signature": Target(
        "record/SHA256SUMS.sig", contents.edited, ("request", "verify", "in/record")
    ),
    "key": Target("record/public.pem", contents.edited, ("request", "verify", "in/record")),
    "bank": Target(
        "bank/bank.json",
        contents.jsons,
        BANK,
        heavy=True,
        writes="bank",
    ),
    "member": Target(
        "bank/cells/*.json",
        contents.jsons,
        BANK,
        heavy=True,
        writes="bank",
    ),
    "bank-audited": Target("bank/bank.json", contents.jsons, _AUDITED),
    "reference": Target("results/cells/reference*.json", contents.jsons, _SHOWN, writes=_TABLES),
    "cell": Target(
        "results/cells/unlearning*.json",
        contents.jsons,
        _SHOWN,
        writes=_TABLES,
    ),
    "mufac": Target(
        "mufac/custom_val_dataset.csv", contents.tables, (*_ANY_DATA, "mufac", "--root", "in/mufac")
    ),
    "cleaned": Target(
        "mufac/cleaned/cleaning.json", contents.jsons, (*_ANY_DATA, "mufac", "--root", "in/mufac")
    ),
    "elpv": Target("elpv/labels.csv", contents.tables, (*_ANY_DATA, "elpv", "--root", "in/elpv")),
    "tiny-imagenet": Target(
        "tiny/val/val_annotations.txt",
        contents.tables,
        (*_ANY_DATA, "tiny-imagenet", "--root", "in/tiny"),
    ),
    "wnids": Target(
        "tiny/wnids.txt", contents.tables, (*_ANY_DATA, "tiny-imagenet", "--root", "in/tiny")
    ),
    "image": Target(
        "photos/a/0.png", contents.edited, (*_ANY_DATA, "imagefolder:in/photos", "--size", "8")
    ),
    "shard": Target(
        "shards/train-0.tar",
        contents.tars,
        (*_ANY_DATA, "webdataset:in/shards", "--size", "8"),
        writes="cache",
    ),
    "index-of-shard": Target(
        "cache/webdataset/*.npz",
        contents.edited,
        (*_ANY_DATA, "webdataset:in/tars", "--size", "8"),
        writes="cache",
    ),
}


def valid(target: Target, top: Path) -> bytes:
    """What stands in the file when nothing is wrong."""
    return _file(target, top).read_bytes()


def _file(target, top):
    return sorted((top / "in").glob(target.file))[0]


@dataclass(frozen=True)
class Seen:
    """What a command did.

    Attributes:
        status: Its exit code.
        text: All that it wrote.
        seconds: That it computed; a busy machine does not count.
        problems: What must not be.
    """

    status: int
    text: str
    seconds: float
    problems: list[str]


def run(target: Target, top: Path, data: bytes) -> Seen:
    """Run the command with ``data`` in the place of the file; afterwards all is as before."""
    file = _file(target, top)
    before, right = _tree(top, target), file.read_bytes()
    kept = _read(top / "in" / target.writes)
    file.write_bytes(data)
    shutil.rmtree(top / "out", ignore_errors=True)  # of the command before
    start = time.process_time()
    status, text = _called(list(target.words), target.heavy)
    seconds = time.process_time() - start
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(right)
    problems = _problems(status, text, seconds)
    changed = sorted(before.items() ^ _tree(top, target).items())
    if changed:
        problems.append(f"other files changed: {changed}")
    _restore(top / "in" / target.writes, kept)
    return Seen(status, text, seconds, problems)


def _called(words, heavy):
    said = io.StringIO()
    stops = [] if heavy else [patch(name, partial(_stop, name)) for name in _HEAVY]
    with contextlib.ExitStack() as stack:
        kept = patch("lotus_unlearning.datasets.shards.CACHE", CACHE)
        for one in [
            *stops,
            kept,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ]:
            stack.enter_context(one)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            status = main(words)
        except SystemExit as done:
            status = done.code
        except BaseException:
            status = -1
            said.write(traceback.format_exc())
    return status, said.getvalue()


def _stop(name, *_, **__):
    raise ValueError(f"all was well: here {name} would begin")


def _problems(status, text, seconds):
    found = [] if status in (0, 1, 2) else [f"exit code {status}"]
    if "Traceback" in text or re.search(r'^  File "', text, re.MULTILINE):
        found.append("a traceback")
    if status in (1, 2) and _PYTHONS.search(text):
        found.append("Python's words in the place of ours")
    steering = {c for c in text if unicodedata.category(c)[0] == "C" and c not in "\n\r"}
    if steering:
        found.append(f"control characters {steering!r}")
    if status in (1, 2) and not text.strip():
        found.append("an error without a word")
    if len(text) > 20_000:
        found.append(f"{len(text)} characters of text")
    if seconds > 30:
        found.append(f"{seconds:.0f} seconds")
    return found


def _tree(top, target):
    """Every file that must stay as it is: size and time of the last change."""
    mine = str(_file(target, top))
    left_out = {str(top / "out"), str(top / "in" / target.writes)}
    folders, found = [str(top)], {}
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders += [] if entry.path in left_out else [entry.path]
                elif entry.path != mine:
                    facts = entry.stat(follow_symlinks=False)
                    found[entry.path] = (facts.st_size, facts.st_mtime_ns)
    return found


def _read(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


def _restore(folder, kept):
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path not in kept:
            path.unlink()
    for path, data in kept.items():
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def megabytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
