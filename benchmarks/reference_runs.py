"""Takes functions out of the files of published programs and runs them on our seeded arrays.

For ``reference_programs.py``. A run gets a file and the arrays, and gives a dictionary of numbers.
"""

import ast
import contextlib
import importlib
import io
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Optional
from unittest.mock import patch

import numpy as np
import scipy.stats
import sklearn.metrics
import torch
from sklearn.linear_model import LogisticRegression

TFP = "tensorflow_privacy.privacy.privacy_tests.membership_inference_attack"


class ResNet(torch.nn.Module):
    """Images are logits already; the programs ask for the name and for a parameter's device."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x


def taken(file, asserts=True, **given):
    """Functions, classes and constants of a file; ``given`` stands for what it imports."""
    tree = ast.parse(file.read_text("utf-8"))
    tree.body = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        or (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        )
    ]
    names = {"np": np, "torch": torch, "F": torch.nn.functional, **given}
    exec(compile(tree, str(file), "exec", optimize=0 if asserts else 1), names)
    return SimpleNamespace(**names)


def imported(folder, name):
    """A module of an unpacked wheel, without what its packages import at the top."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        package = ModuleType(".".join(parts[:end]))
        package.__path__ = [str(folder.joinpath(*parts[:end]))]
        sys.modules.setdefault(package.__name__, package)
    return importlib.import_module(name)


def mi_lira(file, a):
    """Without augmentations: one score per model and image."""
    program = taken(file, scipy=scipy)
    numbers = {}
    for form in ("generate_ours", "generate_ours_offline"):
        for fixed in (False, True):
            target = a["seen"][:1], a["margins"][None, :, None]
            found, _ = getattr(program, form)(
                a["seen"], a["bank"][:, :, None], *target, fix_variance=fixed
            )
            numbers[f"{form}, {'shared' if fixed else 'per image'}"] = found
    return numbers


def mi_lira_sweep(file, a):
    """Scores are low for members there."""
    program = taken(file, roc_curve=sklearn.metrics.roc_curve, auc=sklearn.metrics.auc)
    scores = np.concatenate([a["members"], a["others"]])
    truth = np.repeat([True, False], [len(a["members"]), len(a["others"])])
    _, _, auc, accuracy = program.sweep(-scores, truth)
    return {"auc": auc, "accuracy": accuracy}


def mi_lira_scores(file, a):
    """It reads a file of logits and writes one of margins."""
    with tempfile.TemporaryDirectory() as folder:
        logits = Path(folder) / "exp" / "logits"
        logits.mkdir(parents=True)
        np.save(logits / "0.npy", a["logits"][:, None, None])
        with contextlib.redirect_stdout(io.StringIO()):
            taken(file, os=os, logdir=folder, labels=a["labels"]).load_one("exp")
        return {"margin": np.load(Path(folder) / "exp" / "scores" / "0.npy")[:, 0]}


def tfp_lira(file, a):
    """In and out margins are lists of one array per image."""
    program = imported(file.parents[4], f"{TFP}.advanced_mia")
    columns = [
        (a["bank"][seen, i, None], a["bank"][~seen, i, None]) for i, seen in enumerate(a["seen"].T)
    ]
    inside, outside = zip(*columns, strict=True)
    return {
        f"{option}, {'shared' if fixed else 'per image'}, {centre}": program.compute_score_lira(
            a["margins"][:, None], inside, outside, option, fixed, centre
        )
        for option in ("both", "out")
        for fixed in (False, True)
        for centre in ("median", "mean")
    }


def tfp_statistics(file, a):
    """One number per image from its logits."""
    program = imported(file.parents[4], f"{TFP}.advanced_mia")
    return {
        option: program.calculate_statistic(a["logits"].copy(), a["labels"], option=option)
        for option in ("logit", "conf with prob", "xe")
    }


def tfp_entropies(file, a):
    """With labels it is the modified entropy."""
    entropy = imported(file.parents[4], f"{TFP}.data_structures").AttackInputData._get_entropy
    return {
        "entropy": entropy(a["logits"], None),
        "modified entropy": entropy(a["logits"], a["labels"]),
    }


def tfp_threshold(file, a):
    """Losses are low for members. Its trained attacks, which are not run, need another library."""
    sys.modules.setdefault(f"{TFP}.models", ModuleType("models"))
    attack = imported(file.parents[4], f"{TFP}.membership_inference_attack")
    data = attack.AttackInputData(loss_train=-a["members"], loss_test=-a["others"])
    curve = attack._run_threshold_attack(data).roc_curve
    return {"auc": curve.get_auc(), "advantage": curve.get_attacker_advantage()}


def art_rates(file, a):
    """At three rates."""
    program = imported(file.parents[3], "art.metrics.privacy.worst_case_mia_score")
    scores = np.concatenate([a["members"], a["others"]])
    truth = np.repeat([1, 0], [len(a["members"]), len(a["others"])])
    return {
        str(rate): float(program.get_roc_for_fpr(scores, truth, targeted_fpr=rate)[0][1])
        for rate in (0.02, 0.1, 0.25)
    }


def rmia(file, a):
    """Offline; models are columns."""
    run = taken(file, Any=Any, Optional=Optional).run_rmia
    x, z = a["reference"].T, a["reference_population"].T
    unseen = np.zeros(x.shape, dtype=bool)

    def score(x, seen, z, offline_a, models=None):
        return run(a["probability"], x, seen, a["population"], z, offline_a, models)

    return {
        "a 0.3, saw nothing": score(x, unseen, z, 0.3, x.shape[1]),
        "a 1, saw nothing": score(x, unseen, z, 1.0, x.shape[1]),
        "a 0.3, one reference": score(x[:, :1], unseen[:, :1], z[:, :1], 0.3),
        "a 0.3, half saw each": score(x, a["seen"].T, z, 0.3),
    }


def song_mittal(p, y, q, labels, file, classes):
    """Their class; the shadow model is the target itself."""
    sides = (p, y), (q, labels)
    return taken(file).black_box_benchmarks(*sides, *sides, classes)


def song_mittal_scores(file, a):
    """Attributes that its constructor computes."""
    p = torch.softmax(torch.from_numpy(a["logits"]), 1).numpy()
    made = song_mittal(p, a["labels"], p, a["labels"], file, p.shape[1])
    return {
        "modified entropy": made.t_tr_m_entr,
        "entropy": made.t_tr_entr,
        "confidence": made.t_tr_conf,
    }


def song_mittal_threshold(file, a):
    """One class, whose probability is the score; the accuracy is printed to three decimals."""
    columns = [side[:, None] for side in (a["members"], a["others"])]
    labels = [np.zeros(len(side), dtype=int) for side in columns]
    made = song_mittal(columns[0], labels[0], columns[1], labels[1], file, 1)
    sides = made.s_tr_conf, made.s_te_conf
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        made._mem_inf_thre("confidence", *sides, *sides)
    accuracy = float(printed.getvalue().split()[-1])
    return {"threshold": made._thre_setting(*sides), "accuracy": accuracy}


def forgetting(file, a):
    """On a processor, and without its assert, which asks an array whether it is true."""
    program = taken(file, asserts=False)
    with patch.object(torch.Tensor, "cuda", lambda self: self), np.errstate(all="ignore"):
        median = np.median(a["gold"], axis=0) > np.median(a["unlearned"], axis=0)
        sides = (a["gold"], a["unlearned"]), (a["unlearned"], a["gold"])
        upper, lower = (np.where(median, *side) for side in sides)
        epsilons = program._get_epsilons(upper, lower, program.DELTA)
        score = program.compute_forget_score_from_confs(a["unlearned"], a["gold"])
    return {"epsilon": epsilons, "score": score}


def scaled_confidence(file, a):
    """It changes the logits that it is given."""
    program = taken(file)
    probability, margin = program.compute_logit_scaled_confidence(a["logits"].copy(), a["labels"])
    return {"probability": probability, "margin": margin}


def klom(file, a):
    """Unlearned models first."""
    program = bench(file)
    with contextlib.redirect_stdout(io.StringIO()):
        return {"klom": program.kl_from_margins(a["unlearned"], a["gold"])}


def bench_margin(file, a):
    """The model is one whose images are logits."""
    logits, labels = torch.from_numpy(a["logits"]), torch.from_numpy(a["labels"])
    return {"margin": bench(file).get_margin(ResNet(), logits, labels).numpy()}


def bench(file):
    """What the two above need of it."""
    loader = torch.utils.data.DataLoader
    return taken(file, stats=scipy.stats, DataLoader=loader, tqdm=lambda rows, **_: rows)


def loader(*arrays):
    """Batches of tensors."""
    tensors = [torch.from_numpy(np.asarray(array)) for array in arrays]
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors))


def lotus(file):
    """Nothing is logged."""
    return taken(
        file,
        DEVICE="cpu",
        LogisticRegression=LogisticRegression,
        mlflow=SimpleNamespace(log_metric=lambda *_, **__: None),
        tqdm=lambda rows, **_: rows,
    )


def lotus_divergences(file, a):
    """JSDiv as it is; the other, which is rounded to six decimals, of class means."""
    program = lotus(file)
    p, q = (torch.softmax(torch.from_numpy(a[name]), 1) for name in ("logits", "other"))
    sides = [loader(a[name], a["labels"]) for name in ("logits", "other")]
    return {
        "JSDiv": program.JSDiv(p, q).item(),
        "log_js_proxy": program.log_js_proxy(ResNet(), ResNet(), *sides),
    }


def lotus_attack(file, a):
    """Rounded to two decimals."""
    names = ("retain", "forget", "test", "unseen")
    sides = [loader(a[name], np.zeros(len(a[name]))) for name in names]
    return {"log_mia": lotus(file).log_mia(*sides, ResNet())}


def zrf(file, a):
    """A batch is of images, labels and coarse labels."""
    both = np.concatenate([a["logits"], a["other"]], axis=1)
    first = a["logits"].shape[1]
    batch = [(torch.from_numpy(both), None, None)]
    one, other = (lambda x: x[:, :first]), (lambda x: x[:, first:])
    return {"zrf": taken(file).UnLearningScore(one, other, batch, None, "cpu").item()}
