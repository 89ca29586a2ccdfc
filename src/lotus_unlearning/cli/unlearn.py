"""``lotus unlearn``: make a trained model forget images."""

from typing import Any

from lotus_unlearning import runs
from lotus_unlearning.cli import options
from lotus_unlearning.cli.methods import add_method, build_method
from lotus_unlearning.cli.options import say
from lotus_unlearning.evaluation import describe, evaluate
from lotus_unlearning.runtime import fingerprint
from lotus_unlearning.unlearning import unlearn

_EXAMPLES = """
lotus unlearn --model runs/original --forget ids.txt --method lotus --method.alpha 2
lotus unlearn --model runs/original --forget 0.1 --method scrub --gold runs/gold
lotus unlearn --model photos.pt --architecture timm:resnet18 --data imagefolder:photos \\
              --forget to_delete.csv --out runs/request-17
lotus unlearn --config runs/request-17/config.yaml      (the same again)
"""


def main(words: list[str]) -> None:
    """Unlearn, measure, and write a run folder with its page."""
    parser = options.parser("unlearn", "Make a trained model forget images.", _EXAMPLES)
    options.add_model(parser, "--model", required=True)
    options.add_data(parser, default=None)
    options.add_forget(parser, "--forget", None, "forget images")
    parser.add_argument(
        "--gold", type=str | None, default=None, help="run folder of a retrained model, to compare"
    )
    words = add_method(parser, words)
    options.add_run(parser, "runs/unlearned")
    chosen = parser.parse_args(words)
    final = runs.destination(chosen.out, "unlearned")
    method = build_method(chosen.method)
    options.inherit_data(chosen)
    if chosen.forget is None:
        raise ValueError("forget: expected images to forget; pass --forget FILE, 0.1 or class:NAME")
    data = options.load_data(chosen)
    splits = options.choose(data, chosen.forget, chosen.forget_seed)
    original, architecture = options.load_model(chosen.model, chosen.architecture, data)
    gold = options.load_gold(chosen.gold, splits)
    say(f"{type(method).__name__} forgets {len(splits.forget):,} of {len(data.train):,} images")
    result = unlearn(
        original,
        splits,
        method,
        seed=chosen.seed,
        batch_size=chosen.batch_size,
        device=chosen.device,
        precision=chosen.precision,
    )
    say(f"took {result.seconds:.1f} s; measuring")
    manifest: dict[str, Any] = {
        "command": "unlearn",
        "method": describe(method),
        "seed": chosen.seed,
        "forget_seed": chosen.forget_seed,
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "weights_sha256_before": fingerprint(original),
    }
    evaluation = evaluate(
        result, splits, original=original, gold=gold, device=chosen.device, manifest=manifest
    )
    with runs.folder(final) as path:
        runs.write(
            path,
            config=options.plain(chosen),
            model=result.model,
            architecture=architecture,
            history=result.history,
            manifest={**manifest, "forgotten": splits.forget.ids.tolist()},
            evaluation=evaluation,
        )
    print(evaluation.to_markdown())
    say(f"page: {final / 'report.html'}")
