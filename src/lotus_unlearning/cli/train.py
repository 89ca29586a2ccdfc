"""``lotus train``: an original model, or with ``--without`` a gold one."""

from dataclasses import asdict
from typing import Any

from lotus_unlearning import runs
from lotus_unlearning.cli import options
from lotus_unlearning.cli.options import say
from lotus_unlearning.evaluation import describe
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.training import Recipe, train

_EXAMPLES = """
lotus train --data digits --out runs/original
lotus train --data digits --without ids.txt --out runs/gold
lotus train --data imagefolder:photos --model timm:resnet18 --pretrained true --recipe.epochs 10
"""


def main(words: list[str]) -> None:
    """Train and write a run folder."""
    parser = options.parser(
        "train", "Train a model, on all training images or without some of them.", _EXAMPLES
    )
    options.add_data(parser, default="digits")
    parser.add_argument("--model", type=str, default="resnet-thin", help="see lotus list models")
    parser.add_argument("--pretrained", type=bool, default=False, help="start from known weights")
    options.add_forget(parser, "--without", None, "leave out images")
    parser.add_class_arguments(Recipe, "recipe")
    options.add_run(parser, "runs/original or runs/gold")
    chosen = parser.parse_args(words)
    final = runs.destination(chosen.out, "original" if chosen.without is None else "gold")
    recipe = Recipe(**vars(chosen.recipe))
    data = options.load_data(chosen)
    images: Any = data.train
    left_out: list[int] = []
    if chosen.without is not None:
        splits = options.choose(data, chosen.without, chosen.forget_seed)
        images, left_out = splits.retain, splits.forget.ids.tolist()
    architecture = options.architecture(chosen.model, data)
    model = architecture.build(pretrained=chosen.pretrained, seed=chosen.seed)
    say(f"training {chosen.model} on {len(images):,} images of {chosen.data}")
    trained = train(
        model,
        images,
        recipe,
        held_out=data.unseen if recipe.patience is not None else None,
        seed=chosen.seed,
        device=chosen.device,
        precision=chosen.precision,
    )
    manifest = {
        "command": "train",
        "method": describe(recipe),
        "seed": chosen.seed,
        "seconds": trained.seconds,
        "peak_memory_bytes": trained.peak_memory_bytes,
        "weights_sha256_before": fingerprint(model),
        "left_out": left_out,
    }
    with runs.folder(final) as path:
        runs.write(
            path,
            config={**options.plain(chosen), "recipe": asdict(recipe)},
            model=trained.model,
            architecture=architecture,
            history=trained.history,
            manifest=manifest,
        )
    say(f"trained in {trained.seconds:.1f} s: {final}")
