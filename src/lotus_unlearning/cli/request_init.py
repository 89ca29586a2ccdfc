"""``lotus request init``: a workspace around a trained model."""

import dataclasses
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from lotus_unlearning import runs
from lotus_unlearning.cli import configs, loading, options, parsing
from lotus_unlearning.cli.methods import add_method, build_method, train_as_original
from lotus_unlearning.cli.options import say
from lotus_unlearning.cli.request import WORKSPACE
from lotus_unlearning.cli.trained_on import TrainingImages
from lotus_unlearning.files.config_paths import OF_FILES, folder_of
from lotus_unlearning.requests.plan import load_data
from lotus_unlearning.requests.settings import (
    DataChoice,
    Drift,
    Guards,
    MethodChoice,
    Settings,
)
from lotus_unlearning.requests.signing import PUBLIC, key_fingerprint
from lotus_unlearning.requests.start import start
from lotus_unlearning.requests.workspace import KEYS
from lotus_unlearning.training import Recipe
from lotus_unlearning.unlearning import Method

_EXAMPLES = """
lotus request init --model runs/original --method scrub --guards.test_accuracy_loss 0.01
lotus request init --model photos.pt --architecture timm:resnet18 --data imagefolder:photos \\
                   --workspace photos-deletion
"""
_MODEL = (
    "the model that is served so far: a run folder of lotus train, or a file of weights "
    "(.safetensors, .pt) with --architecture"
)
_PLAIN = str | int | float | bool | None
_INHERITED = ("data", "root", "limit", "size", "data_seed", "unseen_from", "pretrained")


def init(words: list[str]) -> int:
    """Make a workspace, complete or not at all."""
    parser = parsing.parser("request init", "Make a workspace of deletion requests.", _EXAMPLES)
    parser.add_argument("--workspace", type=str, default=WORKSPACE, help="new folder")
    parser.add_argument("--model", type=str, required=True, help=_MODEL)
    parser.add_argument(
        "--architecture", type=str | None, default=None, help="of a file of weights"
    )
    options.add_data(parser, default=None)
    words = add_method(parser, words)
    parser.add_argument(
        "--pretrained", type=bool, default=False, help="--retrain starts from known weights"
    )
    for record, name in ((Recipe, "recipe"), (Guards, "guards"), (Drift, "drift")):
        parser.add_class_arguments(record, name)
    _add_audit(parser)
    parser.add_argument("--near_distance", type=int, default=2, help="of 64 bits: similar images")
    parser.add_argument("--due_days", type=int, default=28, help="from received to due")
    parser.add_argument("--seed", type=int, default=0, help="run N takes this number plus N")
    options.add_batch_size(parser)
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--precision", type=str, default="auto", help="auto, float32, bfloat16")
    chosen = parsing.parse(parser, words)
    if not Path(chosen.model).is_file():
        parser.set_defaults(_of_run(chosen.model))
        chosen = parsing.parse(parser, words)
    if not Path(chosen.model).is_file() or "recipe" in parsing.given(parser, words):
        train_as_original(parser, words, Recipe(**vars(chosen.recipe)))
        chosen = parsing.parse(parser, words)
    options.check_run(chosen)
    _make(chosen)
    return 0


def _add_audit(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--audit_level",
        type=int,
        default=0,
        help="0: no audit; 1: each run is compared with retraining; 2: and by likelihood ratios, "
        "without shadow models (LiRA is offline, by the golds alone) and without other runs (no "
        "KLOM, U-LiRA, forgetting quality); 3: and by relearning and probes",
    )
    parser.add_argument("--audit_golds", type=int, default=16, help="retrained models for that")
    parser.add_argument(
        "--audit_put_back",
        nargs="+",
        type=int,
        default=[],
        help="numbers of images: put back into two models each, to see from how many on the audit "
        "notices",
    )


def _of_run(path: str) -> dict[str, Any]:
    """Defaults: the data and the recipe that the model was trained with.

    Raises:
        ValueError: If the model was not trained on all training images, or forgot some.
    """
    run = runs.read(path)
    gone = sum(len(run.manifest.get(key) or ()) for key in ("left_out", "forgotten"))
    if gone:
        raise ValueError(
            f"model: expected one that was trained on all training images, but {path!r} does "
            f"without {gone:,} of them; begin with the model before, and add these as a request"
        )
    config = configs.resolved("train", run.config, run.path)
    found = {key: config[key] for key in _INHERITED if config.get(key) is not None}
    recipe = {} if run.recipe is None else dataclasses.asdict(run.recipe)
    return {**found, **{f"recipe.{key}": value for key, value in recipe.items()}}


def _make(chosen: Any) -> None:
    final = Path(chosen.workspace)
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise ValueError(
            f"workspace: expected a new or empty folder, got {chosen.workspace!r}, which holds "
            "something already; name another with --workspace"
        )
    if chosen.data is None:
        raise ValueError(
            "data: expected what the model was trained on; pass --data, or the run folder of lotus "
            "train as --model"
        )
    method = build_method(chosen.method)
    settings = Settings(
        data=_data(chosen),
        architecture={},
        pretrained=chosen.pretrained,
        method=MethodChoice(name=chosen.method.name, settings=_settings(method)),
        recipe=dataclasses.asdict(Recipe(**vars(chosen.recipe))),
        guards=Guards(**vars(chosen.guards)),
        drift=Drift(**vars(chosen.drift)),
        **{key: getattr(chosen, key) for key in _AS_THEY_ARE},
    )
    data = load_data(settings)
    loaded = loading.load_model("model", chosen.model, data, TrainingImages.of(data), chosen)
    built = dataclasses.asdict(loaded.architecture)
    start(final, dataclasses.replace(settings, architecture=built), loaded.model, data)
    public = final / KEYS / PUBLIC
    say(f"workspace: {final}, {len(data.train):,} training images of {data.name}")
    say(f"public key, for those who verify records: {public}")
    print(key_fingerprint(public.read_bytes()))


_AS_THEY_ARE = (
    "audit_level",
    "audit_golds",
    "audit_put_back",
    "near_distance",
    "due_days",
    "seed",
    "batch_size",
    "device",
    "precision",
)


def _data(chosen: Any) -> DataChoice:
    """With paths that hold wherever the next command is typed."""
    kind, _, rest = chosen.data.partition(":")
    name, root = chosen.data, chosen.root
    folder, behind = folder_of(rest)
    if kind in OF_FILES and root is None:
        name = f"{kind}:{Path(folder).resolve()}{behind}" if Path(folder).exists() else name
    elif kind == "python" or root is not None:
        root = str(Path(root or ".").resolve())
    return DataChoice(
        name=name,
        root=root,
        limit=chosen.limit,
        size=chosen.size,
        seed=chosen.data_seed or 0,
        unseen_from=chosen.unseen_from or "train",
    )


def _settings(method: Method) -> dict[str, Any]:
    """All settings as plain data, those of records within under ``record.name``.

    Raises:
        ValueError: If one was set that is a model or another method.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(method):  # type: ignore[arg-type]
        value = getattr(method, field.name)
        if isinstance(value, _PLAIN):
            found[field.name] = value
        elif isinstance(value, tuple | list):
            found[field.name] = list(value)
        elif dataclasses.is_dataclass(value) and not callable(value):
            record = dataclasses.asdict(value)
            found |= {f"{field.name}.{key}": _listed(v) for key, v in record.items()}
        elif value != field.default:
            raise ValueError(
                f"method.{field.name}: expected a number, a word or a list for lotus.yaml, got "
                f"{type(value).__name__}; leave it at its default"
            )
    return found


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
