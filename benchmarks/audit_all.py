r"""Audit the original, five methods and one more gold on digits and Fashion-MNIST.

    python benchmarks/audit_all.py digits --golds 64 --shadows 64 \
      --put_back 5 10 20 40 80 --others 7
    python benchmarks/audit_all.py fashion-mnist --golds 16 --shadows 32 \
      --put_back 25 50 100 200 400 --others 2
    python docs/write_audit.py

``--shadows`` adds online likelihood ratios, ``--others`` what needs several models of each kind.
Each step is a ``lotus`` command, printed before it runs. What is there already is not made again,
and a bank goes on where it stopped; audits are made anew, with all that the bank then holds. Every
``audit.json`` goes to benchmarks/results/audits/DATA/MODEL.json. Golds that are in no bank, and
models that Understudy unlearned, calibrated and not, one and those of ``--others``, are audited at
level 1: how many are found out, to benchmarks/results/audits/DATA-held-out.json and so on.
"""

import argparse
import json
import shlex
import shutil
import sys
from pathlib import Path

from lotus_unlearning.cli import main as lotus

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "audits"
FORGET = "0.1"
TRAINED = {
    "digits": "--data digits",
    "fashion-mnist": "--data fashion-mnist --limit 5000 --model resnet10t --precision bfloat16 "
    "--recipe.epochs 12 --recipe.optimizer adamw --recipe.learning_rate 1e-3",
}
CALIBRATED = "--method.name understudy --method.calibrated true --method.epochs 8"
LONG = "--method.name understudy --method.epochs 8"
METHODS = {
    "digits": {
        "lotus": "--method.name lotus --preset tuned-digits",
        "finetune": "--method.name finetune --preset tuned-digits",
        "scrub": "--method.name scrub --preset tuned-digits",
        "understudy": "--method.name understudy",
        "understudy-calibrated": CALIBRATED,
        "regrow": "--method.name regrow",
    },
    "fashion-mnist": {
        "lotus": "--method.name lotus",
        "finetune": "--method.name finetune",
        "scrub": "--method.name scrub",
        "understudy": "--method.name understudy",
        "understudy-long": LONG,  # on digits there are ten passes anyway
        "understudy-calibrated": CALIBRATED,
        "regrow": "--method.name regrow",
    },
}
SEVERAL = ("held-out", "understudy", "understudy-long", "understudy-calibrated")
"""Golds that are in no bank, whose finding is a false alarm; and models that may pass for golds."""
BRIEFLY = ("understudy-long", "understudy-calibrated")
"""Audited at level 1 alone."""
HELD_OUT = 500
"""Seed of the gold in the unlearned model's place; those of banks begin at 1000."""
OTHERS = 600
"""First seed of further models of each kind."""


def run(words):
    """One command; a failure ends the script."""
    print(f"$ lotus {words}", flush=True)
    status = lotus(shlex.split(words))
    if status:
        sys.exit(status)


def models(data, folder, others):
    """Train, and unlearn from the original; what is there stays.

    Returns:
        Name -> folders of further models, by other seeds: each from an original of its own.
    """
    for number in range(others + 1):
        seed = f" --seed {OTHERS + number - 1}" if number else ""
        held_out = seed or f" --seed {HELD_OUT}"
        steps = {
            "original": f"train {TRAINED[data]}{seed}",
            "held-out": f"train {TRAINED[data]} --without {FORGET}{held_out}",
        }
        original = _place(folder, "original", number)
        for name, words in METHODS[data].items():
            steps[name] = f"unlearn --model {original} --forget {FORGET} {words}{seed}"
        for name, words in steps.items():
            out = _place(folder, name, number)
            if not (out / "manifest.json").is_file():
                run(f"{words} --out {out}")
    return {n: [_place(folder, n, i + 1) for i in range(others)] for n in steps}


def _place(folder, name, number):
    return folder / f"{name}-{number}" if number else folder / name


def bank(folder, options):
    """Train what is missing of the bank."""
    back = f" --put_back {' '.join(map(str, options.put_back))}" if options.put_back else ""
    run(
        f"bank --model {folder}/original --forget {FORGET} --golds {options.golds} "
        f"--shadows {options.shadows}{back} --keep weights --out {folder}/bank"
    )


def audits(data, folder, names, options):
    """Audit every model, and keep the figures."""
    shadows = f"--shadows {folder}/bank " if options.shadows else ""
    for name, others in names.items():
        if name in BRIEFLY:
            continue
        out = folder / "audits" / name
        shutil.rmtree(out, ignore_errors=True)
        run(
            f"audit --run {folder}/{name} --original {folder}/original --forget {FORGET} "
            f"--golds {folder}/bank {shadows}--level {options.level} --out {out}"
            + (f" --others {' '.join(map(str, others))}" if others else "")
        )
        kept = RESULTS / data / f"{name}.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / "audit.json", kept)


def found_out(data, folder, name, others):
    """Audit all models of a name at level 1, and keep who is found out."""
    found = []
    for model in [folder / name, *others]:
        out = folder / "audits" / f"level-1-{model.name}"
        shutil.rmtree(out, ignore_errors=True)
        run(
            f"audit --run {model} --original {folder / model.name.replace(name, 'original')} "
            f"--forget {FORGET} --golds {folder}/bank --level 1 --out {out}"
        )
        page = json.loads((out / "audit.json").read_text(encoding="utf-8"))
        seen = [one["name"] for one in page["statistics"] if one["distinguishable"]]
        found.append({"model": model.name, "outcome": page["verdict"]["outcome"], "by": seen})
    kept = RESULTS / f"{data}-{name}.json"
    kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="+", choices=TRAINED)
    parser.add_argument("--golds", type=int, default=16)
    parser.add_argument("--shadows", type=int, default=0)
    parser.add_argument("--put_back", type=int, nargs="*", default=[])
    parser.add_argument("--others", type=int, default=0, help="further models of each kind")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs") / "audits")
    options = parser.parse_args()
    for data in options.data:
        folder = options.out / data
        names = models(data, folder, options.others)
        bank(folder, options)
        audits(data, folder, names, options)
        for name in SEVERAL:
            if name in names:
                found_out(data, folder, name, names[name])


if __name__ == "__main__":
    main()
