"""The files that are to be broken, as they are when nothing is wrong."""

import tarfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from lotus_unlearning.cli import main
from lotus_unlearning.datasets.shards import open_shard

CACHE = Path("in/cache")
"""Where commands keep what they know of shards."""

SMALL = ["--data", "digits", "--limit", "60"]
ONE = ["--recipe.epochs", "1"]
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
_WRITTEN = {
    "unlearn": """model: run
forget: ids.txt
gold: gold
method: {name: lotus, epochs: 1}
preset: demo
batch_size: 16
seed: 1
device: cpu
""",
    "audit": """run: in/unlearned
golds: [in/bank]
level: 1
relearning: {steps: 4}
seed: 1
precision: float32
""",
    "tune": """model: run
forget: 0.1
budget: 1
draws: 1
recipe: {epochs: 1}
seed: 1
on_overlap: auto
""",
    "evaluate": """unlearned: unlearned
gold: gold
data: digits
limit: 60
data_seed: 0
shard: false
""",
}
"""Configs as a person writes them, by command."""
BANK = ("bank", "--model", "in/run", "--forget", "0.1", "--golds", "1", "--out", "in/bank")
KEPT = ("train", *SMALL, *ONE, "--checkpoint", "in/kept", "--out", "out/x")


def prepare(top: Path) -> None:
    """Inputs of all targets under ``top``, which is the working folder."""
    (top / "canary.txt").write_text("unharmed")
    (top / "in").mkdir()
    _texts(top / "in")
    _data_sets(top / "in")
    _shards(top / "in")
    assert main(["train", *SMALL, *ONE, "--out", "in/run"]) == 0
    unlearn = ["unlearn", "--model", "in/run", "--forget", "0.1", "--method", "finetune"]
    assert main([*unlearn, "--method.epochs", "1", "--out", "in/unlearned"]) == 0
    ids = (top / "in/unlearned/forget.txt").read_text().split()
    (top / "in/ids.txt").write_text("\n".join(ids))
    (top / "in/ids.csv").write_text(f'id,note\n{ids[0]},"a, b"\n# more\n\n{ids[1]},\n')
    assert main(["train", *SMALL, *ONE, "--without", "in/ids.txt", "--out", "in/gold"]) == 0
    (top / "in/w.safetensors").write_bytes((top / "in/run/model.safetensors").read_bytes())
    _checkpoint(top / "in")
    with patch("lotus_unlearning.cli.output.discard"):
        assert main([*KEPT]) == 0
    assert main([*BANK]) == 0
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
    for command, text in _WRITTEN.items():
        (folder / f"{command}.yaml").write_text(text)


def _shards(folder):
    """Two sets alike: of one the shard is to be broken, of the other the index that is kept."""
    for name in ("shards", "tars"):
        (folder / name).mkdir()
        with tarfile.open(folder / name / "train-0.tar", "w") as archive:
            for i in range(16):
                label = folder / "label.cls"
                label.write_text(str(i % 2))
                archive.add(folder / f"photos/{'ab'[i % 2]}/{i}.png", f"{i:03}.png")
                archive.add(label, f"{i:03}.cls")
                label.unlink()
    with patch("lotus_unlearning.datasets.shards.CACHE", CACHE):
        open_shard("in/tars/train-0.tar")


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
