"""``lotus evaluate``: two or three models side by side."""

from lotus_unlearning import runs
from lotus_unlearning.cli import options
from lotus_unlearning.cli.options import say
from lotus_unlearning.evaluation import evaluate

_EXAMPLES = """
lotus evaluate --unlearned runs/unlearned --original runs/original --gold runs/gold
lotus evaluate --unlearned after.safetensors --original before.pt --architecture resnet18 \\
               --data cifar-10 --forget ids.txt
"""


def main(words: list[str]) -> None:
    """Measure, print the table, write a folder with the page."""
    parser = options.parser("evaluate", "Measure how well a model forgot.", _EXAMPLES)
    options.add_model(parser, "--unlearned", required=True)
    parser.add_argument("--original", type=str | None, default=None, help="the model before")
    parser.add_argument("--gold", type=str | None, default=None, help="the retrained model")
    options.add_data(parser, default=None)
    options.add_forget(parser, "--forget", None, "images that were to be forgotten")
    options.add_run(parser, "runs/evaluation")
    chosen = parser.parse_args(words)
    final = runs.destination(chosen.out, "evaluation")
    options.inherit_data(chosen, chosen.unlearned)
    if chosen.forget is None:
        raise ValueError(
            "forget: expected the images that were forgotten; pass --forget, or the folder of a "
            "lotus unlearn run as --unlearned"
        )
    data = options.load_data(chosen)
    splits = options.choose(data, chosen.forget, chosen.forget_seed)
    unlearned = options.load_unlearned(chosen.unlearned, chosen.architecture, data)
    original = chosen.original and options.load_model(chosen.original, chosen.architecture, data)[0]
    gold = options.load_gold(chosen.gold, splits, chosen.architecture, data)
    precision = "float32" if chosen.precision == "auto" else chosen.precision
    evaluation = evaluate(
        unlearned,
        splits,
        original=original,
        gold=gold,
        seed=chosen.seed,
        device=chosen.device,
        precision=precision,
    )
    with runs.folder(final) as path:
        runs.write(
            path,
            config=options.plain(chosen),
            manifest={"command": "evaluate", **evaluation.page["manifest"]},
            evaluation=evaluation,
        )
    print(evaluation.to_markdown())
    say(f"page: {final / 'report.html'}")
