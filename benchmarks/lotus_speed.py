"""How much faster is LoTUS here than a plain implementation of the same algorithm?

    python benchmarks/lotus_speed.py --model timm:resnet10t --epochs 5 --seeds 5
    python benchmarks/lotus_speed.py --model resnet18 --images 3000 --epochs 3 --measured 500
    python benchmarks/lotus_speed.py --model resnet18 --device cuda --images 51000 --epochs 10

Fashion-MNIST, resized to 32 pixels; 10% of the training images are forgotten. The plain twin
forwards a frozen teacher on every batch, reads images one by one through a ``DataLoader`` with
transforms (on a GPU: eight workers), recomputes forget accuracy before every epoch, validates in
batches of the training size, and leaves memory in its default format. All run in one process, in
turns (ours in float32, ours in bfloat16, the twin, and so on), on the same model, images, epochs
and seeds. One line per
run is added to ``--out``; what is there already is not run again. ``--table`` prints the summary of
that file.
"""

import argparse
import copy
import json
import math
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from lotus_unlearning import Finetune, LoTUS, Recipe, Retrain, Splits, evaluate, train, unlearn
from lotus_unlearning.datasets import load
from lotus_unlearning.models import build, load_weights, save_weights
from lotus_unlearning.runtime import Runtime, choose_device, choose_precision
from lotus_unlearning.runtime.seeds import synchronize

PIXELS, BATCH, ALPHA, RATE, DECAY = 32, 128, 2.0, 1e-4, 5e-4
TOLERANCE = 1.0  # of LoTUS's stopping rule: every run makes all its epochs
PARTS = ("teacher once", "channels-last", "images in memory")
SHOWN = ("forget_accuracy", "retain_accuracy", "test_accuracy", "rf_js_divergence")


class Files(Dataset):
    """Images one by one, each through PIL and torchvision's transforms, as scripts do it."""

    def __init__(self, split, preprocess):
        from torchvision import transforms as T

        self.split = split
        steps = [T.ToPILImage(), T.Resize(PIXELS), T.ToTensor()]
        self.transform = T.Compose([*steps, T.Normalize(preprocess.mean, preprocess.std)])

    def __len__(self):
        return len(self.split)

    def __getitem__(self, i):
        position = self.split.ids[i]
        image = self.transform(self.split.source.images[position])
        return image, int(self.split.source.labels[position])


def accuracy(model, images, layout):
    model.eval()
    device = next(model.parameters()).device
    right = 0
    with torch.no_grad():
        for x, y in loader(images, device):
            guess = model(x.to(device, memory_format=layout)).argmax(1)
            right += (guess == y.to(device)).sum().item()
    return right / len(images)


def loader(images, device, size=BATCH, **more):
    on_gpu = {"num_workers": 8, "pin_memory": True} if device.type == "cuda" else {}
    return DataLoader(images, size, **on_gpu, **more)


def twin(model, splits, epochs, seed, parts=(), device="cpu"):
    """LoTUS as a plain script; ``parts`` of what makes the package fast can be switched on."""
    torch.manual_seed(seed)
    layout = torch.channels_last if "channels-last" in parts else torch.contiguous_format
    device = torch.device(device)
    student = copy.deepcopy(model).to(device, memory_format=layout)
    start = time.perf_counter()
    teacher = copy.deepcopy(student).eval()
    forget, retain, unseen = (
        as_dataset(split, parts) for split in (splits.forget, splits.retain, splits.unseen)
    )
    kept = torch.randperm(len(retain))[: round(0.3 * len(retain))].tolist()
    both = ConcatDataset([forget, Subset(retain, kept)])
    marked = WithPosition(both)
    known = logits(teacher, both, layout) if "teacher once" in parts else None
    goal = accuracy(teacher, unseen, layout)
    optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(epochs):
        gap = accuracy(student, forget, layout) - goal
        if gap <= -TOLERANCE:
            break
        tau = math.exp(ALPHA * gap)
        student.train()
        for x, position in loader(marked, device, shuffle=True):
            x, position = x.to(device, memory_format=layout), position.to(device)
            with torch.no_grad():
                z = teacher(x) if known is None else known[position]
                noisy = z - torch.empty_like(z).exponential_().log()
                smooth = F.softmax(noisy / tau, 1)
                hard = F.one_hot(noisy.argmax(1), z.shape[1]).float()
                target = torch.where((position < len(forget))[:, None], smooth, hard)
            optimizer.zero_grad()
            loss = -(target * F.log_softmax(student(x), 1)).sum(1).mean()
            loss.backward()
            optimizer.step()
    synchronize(device)
    return student.eval(), time.perf_counter() - start


class WithPosition(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i][0], i


def as_dataset(split, parts):
    if "images in memory" not in parts:
        return Files(split, split.source.preprocess)
    images = split.source.preprocess(split.source.images[split.ids])
    return torch.utils.data.TensorDataset(images, split.labels)


def logits(model, images, layout):
    device = next(model.parameters()).device
    with torch.no_grad():
        batches = loader(images, device, 256)
        return torch.cat([model(x.to(device, memory_format=layout)) for x, _ in batches])


def original(options, data, folder):
    """The trained model; trained once and kept."""
    model = build(options.model, classes=10, channels=1, image_size=PIXELS)
    name = f"{options.model.replace(':', '-')}-{options.images}-{options.train_epochs}.safetensors"
    if not (folder / name).exists():
        recipe = Recipe(epochs=options.train_epochs, learning_rate=0.05, warmup_epochs=0.5)
        precision = options.train_precision
        trained = train(model, data.train, recipe, device=options.device, precision=precision).model
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(trained, folder / name)
    return load_weights(model, folder / name).eval()


def measured(name, run, seed, options, splits, model):
    result, seconds = run()
    values = evaluate(result, splits, original=model, device=options.device).values["unlearned"]
    memory = getattr(result, "peak_memory_bytes", None)
    facts = {"run": name, "seed": seed, "seconds": seconds, "peak_memory_bytes": memory}
    gpu = choose_device(options.device).type == "cuda"
    more = {"processor": torch.cuda.get_device_name(0)} if gpu else {}
    return {**facts, **key(options), **more, **{k: values[k] for k in SHOWN}}


def key(options):
    names = ("model", "images", "epochs", "train_epochs", "threads", "device")
    return {name: getattr(options, name) for name in names}


def ours(model, splits, method, seed, device, precision="float32"):
    place = {"device": device, "precision": precision, "progress": False}
    result = unlearn(model, splits, method, seed=seed, batch_size=BATCH, **place)
    return result, result.seconds


def evaluation(model, splits, device):
    """Seconds of all measures of three models, and of their forward passes over the same images."""
    models = [copy.deepcopy(model) for _ in range(3)]
    start = time.perf_counter()
    evaluate(models[0], splits, original=models[1], gold=models[2], device=device)
    whole = time.perf_counter() - start
    run = Runtime(choose_device(device), choose_precision("auto", choose_device(device)))
    start = time.perf_counter()
    for each in models:
        with run.prepared(each) as ready:
            for split in (splits.forget, splits.retain, splits.unseen, splits.test):
                run.predict(ready, split)
    synchronize(run.device)
    return whole, time.perf_counter() - start


def jobs(options, splits, model):
    """Every run in order: ours and the twin in turns, then the parts and the yardsticks."""
    settings = {"alpha": ALPHA, "learning_rate": RATE, "weight_decay": DECAY}
    lotus = LoTUS(epochs=options.epochs, tolerance=TOLERANCE, **settings)
    place = options.device
    for seed in range(options.seeds):
        yield "ours", seed, lambda s=seed: ours(model, splits, lotus, s, place)
        yield (
            "ours, bfloat16",
            seed,
            lambda s=seed: ours(model, splits, lotus, s, place, "bfloat16"),
        )
        yield "twin", seed, lambda s=seed: twin(model, splits, options.epochs, s, device=place)
    for n in range(1, len(PARTS) + 1) if options.parts else ():
        parts = PARTS[:n]
        name = f"twin with {', '.join(parts)}"
        yield name, 0, lambda p=parts: twin(model, splits, options.epochs, 0, p, place)
    sgd = Finetune(epochs=1)
    yield "finetune, SGD", 0, lambda: ours(model, splits, sgd, 0, place)
    recipe = Recipe(epochs=1, optimizer="adamw", learning_rate=RATE, batch_size=BATCH)
    adamw = Retrain(recipe=recipe, start=model)
    yield "finetune, AdamW", 0, lambda: ours(model, splits, adamw, 0, place)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="timm:resnet10t")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--train-epochs", type=int, default=5)
    parser.add_argument("--train-precision", default="float32", help="of training the original")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", action="store_true", help="also the twin with each part added")
    parser.add_argument("--measured", type=int, help="measure on so many retain and test images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/lotus_speed.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the summary of --out and stop")
    options = parser.parse_args()
    if options.table:
        print(table(read(options.out)))
        return
    torch.set_num_threads(options.threads)
    data = load("fashion-mnist", limit=options.images, size=PIXELS)
    splits = Splits.random(data.train, unseen=data.unseen, test=data.test, on_overlap="drop")
    model = original(options, data, Path("runs/benchmarks"))
    if options.measured:
        retain, test = (
            s.take(torch.arange(options.measured)) for s in (splits.retain, splits.test)
        )
        shown = Splits(splits.forget, retain, splits.unseen, test)
    else:
        shown = splits
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(r["run"], r["seed"]) for r in read(options.out) if key(options).items() <= r.items()}
    for name, seed, run in jobs(options, splits, model):
        if (name, seed) not in done:
            add(options.out, measured(name, run, seed, options, shown, model))
    for repeat in range(3):
        if ("evaluate", repeat) not in done:
            whole, forward = evaluation(model, shown, options.device)
            row = {"run": "evaluate", "seed": repeat, "seconds": whole, "forward": forward}
            add(options.out, {**row, **key(options)})
    print(table(read(options.out)))


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add(path, row):
    print(f"{row['run']}, seed {row['seed']}: {row['seconds']:.1f} s", flush=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def table(rows):
    """Markdown: medians over seeds, ratios to ours."""
    lines = []
    for model, device in dict.fromkeys((r["model"], r["device"]) for r in rows):
        mine = [r for r in rows if (r["model"], r["device"]) == (model, device)]
        by = {n: [r for r in mine if r["run"] == n] for n in dict.fromkeys(r["run"] for r in mine)}
        first = mine[0]
        lines += [
            f"\n{model}, {first['images']:,} training images, {first['epochs']} epochs, "
            + (first.get("processor") or f"{first['threads']} threads"),
            "",
            "| run | runs | seconds | faster than the twin | "
            + " | ".join(SHOWN)
            + " | peak memory |",
            "|---|--:|--:|--:|" + "--:|" * (len(SHOWN) + 1),
        ]
        base = statistics.median(r["seconds"] for r in by["twin"])
        for name, runs in by.items():
            if name != "evaluate":
                lines.append(_line(name, runs, base))
        if "evaluate" in by:
            ratio = statistics.median(r["seconds"] / r["forward"] for r in by["evaluate"])
            lines.append(
                f"\n`evaluate` of a model beside original and gold: {ratio:.2f} times the forward "
                "passes of the three over the same images."
            )
    return "\n".join(lines)


def _line(name, runs, base):
    seconds = statistics.median(r["seconds"] for r in runs)
    cells = []
    for measure in SHOWN:
        values = [r[measure] for r in runs]
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.4f}{spread}")
    memory = [r["peak_memory_bytes"] for r in runs if r["peak_memory_bytes"]]
    peak = f"{statistics.median(memory) / 1e6:.0f} MB" if memory else "–"
    ratio = f"{base / seconds:.2f}" if name.startswith(("ours", "twin")) else "–"
    return (
        f"| {name} | {len(runs)} | {seconds:.1f} | {ratio} | " + " | ".join(cells) + f" | {peak} |"
    )


if __name__ == "__main__":
    main()
