"""Files that commands read, the commands, and what must hold whatever stands in the files."""

import contextlib
import io
import os
import re
import resource
import time
import traceback
import unicodedata
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import contents
import numpy as np
from PIL import Image

from lotus_unlearning.cli import main

SMALL = ["--data", "digits", "--limit", "60"]
_ONE = ["--recipe.epochs", "1"]
_GRID = """title: t
blocks:
  - {name: few, data: {name: digits, limit: 60}, model: resnet-thin, recipe: {epochs: 1}}
methods: [finetune]
seeds: 1
golds: 1
measures: [js_divergence, forget_accuracy]
"""
_CONFIG = """data: digits
limit: 60
model: resnet-thin
recipe: {epochs: 1, learning_rate: 0.1}
seed: 3
without: 0.1
device: cpu
"""
_HEAVY = (
    "lotus_unlearning.cli.unlearn.unlearn",
    "lotus_unlearning.cli.train.train",
    "lotus_unlearning.cli.train.unlearn",
    "lotus_unlearning.requests.serve.unlearn",
    "lotus_unlearning.cli.bank.bank",
)


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


_RUN = ("unlearn", "--model", "in/run", "--forget", "0.1", "--out", "out/x")
_WEIGHTS = ("--architecture", "resnet-thin", *SMALL, "--forget", "0.1", "--out", "out/x")
_ANY_DATA = ("train", *_ONE, "--out", "out/x", "--data")
TARGETS = {
    "ids": Target("ids.txt", contents.ids, (*_RUN[:4], "in/ids.txt", *_RUN[5:])),
    "ids-edited": Target("ids.csv", contents.tables, (*_RUN[:4], "in/ids.csv", *_RUN[5:])),
    "config": Target("config.yaml", contents.yamls, ("train", "--config", "in/config.yaml")),
    "grid": Target("grid.yaml", contents.yamls, ("bench", "in/grid.yaml", "--dry_run")),
    "weights": Target(
        "w.safetensors", contents.weights, ("unlearn", "--model", "in/w.safetensors", *_WEIGHTS)
    ),
    "checkpoint": Target("w.pt", contents.edited, ("unlearn", "--model", "in/w.pt", *_WEIGHTS)),
    "manifest": Target("run/manifest.json", contents.jsons, _RUN),
    "config-of-run": Target("run/config.yaml", contents.yamls, _RUN),
    "history": Target("run/history.jsonl", contents.json_lines, _RUN),
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
        ("bank", "--model", "in/run", "--forget", "0.1", "--golds", "1", "--out", "in/bank"),
        heavy=True,
        writes="bank",
    ),
    "member": Target(
        "bank/cells/*.json",
        contents.jsons,
        ("bank", "--model", "in/run", "--forget", "0.1", "--golds", "1", "--out", "in/bank"),
        heavy=True,
        writes="bank",
    ),
    "cell": Target(
        "results/cells/unlearning*.json",
        contents.jsons,
        ("bench", "in/grid.yaml", "--out", "in/results", "--show"),
        writes="results/tables",
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
}


def prepare(top: Path) -> None:
    """Inputs of all targets under ``top``, which is the working folder."""
    (top / "canary.txt").write_text("unharmed")
    (top / "in").mkdir()
    _texts(top / "in")
    _data_sets(top / "in")
    assert main(["train", *SMALL, *_ONE, "--out", "in/run"]) == 0
    unlearn = ["unlearn", "--model", "in/run", "--forget", "0.1", "--method", "finetune"]
    assert main([*unlearn, "--method.epochs", "1", "--out", "in/unlearned"]) == 0
    ids = (top / "in/unlearned/forget.txt").read_text().split()
    (top / "in/ids.txt").write_text("\n".join(ids))
    (top / "in/ids.csv").write_text(f'id,note\n{ids[0]},"a, b"\n# more\n\n{ids[1]},\n')
    (top / "in/w.safetensors").write_bytes((top / "in/run/model.safetensors").read_bytes())
    _checkpoint(top / "in")
    assert main([*TARGETS["bank"].words]) == 0
    assert main(["bench", "in/grid.yaml", "--out", "in/results"]) == 0
    where = ["--workspace", "in/deletion"]
    assert main(["request", "init", "--model", "in/run", "--method", "finetune", *where]) == 0
    for number in (0, 1):
        assert main(["request", "add", "--ids", ids[number], "--only", *where]) == 0
    assert main(["request", "withdraw", "1", "--reason", "r", *where]) == 0
    assert main(["request", "export", "1", "--out", "in/record", *where]) == 0


def _texts(folder):
    (folder / "grid.yaml").write_text(_GRID)
    (folder / "config.yaml").write_text(_CONFIG)


def _checkpoint(folder):
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "w.safetensors"), folder / "w.pt")


def _picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _data_sets(folder):
    """The smallest that can be cut into training, unseen and test images."""
    for part in ("train", "val", "test"):
        rows = ["family_id,person_id,age_class,image_path"]
        for i in range(8):
            rows.append(f"F{i},D,{'ab'[i % 2]},{i}.png")
            _picture(folder / f"mufac/{part}_images/{i}.png", i)
        (folder / f"mufac/custom_{part}_dataset.csv").write_text("\n".join(rows) + "\n")
    cleaned = folder / "mufac/cleaned"
    cleaned.mkdir()
    for table in (folder / "mufac").glob("*.csv"):
        (cleaned / table.name).write_bytes(table.read_bytes())
    (cleaned / "cleaning.json").write_text('{"images": "..", "distance": 2}')
    rows = [f"images/{i}.png  {(0.0, 1.0)[i % 2]}  mono" for i in range(16)]
    for i in range(16):
        _picture(folder / f"elpv/images/{i}.png", i)
        _picture(folder / f"photos/{'ab'[i % 2]}/{i}.png", i)
        _picture(folder / f"tiny/train/n{i % 2}/images/{i}.jpeg", i)
        _picture(folder / f"tiny/val/images/{i}.jpeg", i)
    (folder / "elpv/labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "tiny/wnids.txt").write_text("n0\nn1\n")
    (folder / "tiny/words.txt").write_text("n0\ta\nn1\tb\n")
    lines = [f"{i}.jpeg\tn{i % 2}\t0\t0\t9\t9" for i in range(16)]
    (folder / "tiny/val/val_annotations.txt").write_text("\n".join(lines) + "\n")


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
        seconds: That it took.
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
    start = time.perf_counter()
    status, text = _called(list(target.words), target.heavy)
    seconds = time.perf_counter() - start
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
        for one in [*stops, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said)]:
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
