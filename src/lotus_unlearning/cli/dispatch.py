"""Which module runs a command, and what becomes of errors."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "demo": "forget 10% of a small data set, with every step and a page; takes a minute",
    "train": "train an original model, or a gold one without the images to forget",
    "unlearn": "make a trained model forget images",
    "evaluate": "measure how well a model forgot, beside the original and gold",
    "report": "write the page of a run again",
    "bench": "run a table of the paper, or a grid of your own",
    "tune": "search a method's settings, without a gold model or test images",
    "data": "prepare a data set: MUFAC without photos that appear twice",
    "list": "methods, metrics, data sets and models, with their settings and sources",
    "cite": "BibTeX of methods",
}
_HELP = """usage: lotus COMMAND [options]

Make a trained image classifier forget chosen training images, and show how well it forgot.

commands:
{commands}

lotus COMMAND --help   tells the options of a command, with examples
lotus --version        tells the version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0, 1 for an error (one message on standard error), 130 when interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (head, a pager) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_HELP.format(commands="\n".join(f"  {n:<9} {h}" for n, h in COMMANDS.items())))
        return 0
    if words[0] in ("--version", "version"):
        from lotus_unlearning import __version__

        print(f"lotus-unlearning {__version__}")
        return 0
    command, *rest = words
    if command not in COMMANDS:
        print(f"lotus: {_unknown(command)}", file=sys.stderr)
        return 2
    return _run(command, rest)


def _run(command: str, rest: list[str]) -> int:
    try:
        status = import_module(f"lotus_unlearning.cli.{command}").main(rest)
    except KeyboardInterrupt:
        print(
            f"\nlotus {command}: interrupted; nothing was written. The same command starts again.",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        if os.environ.get("LOTUS_TRACEBACK"):
            raise
        print(f"lotus {command}: {error}", file=sys.stderr)
        return 1
    return int(status or 0)


def _unknown(command: str) -> str:
    import difflib

    near = difflib.get_close_matches(command, COMMANDS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"expected one of {', '.join(COMMANDS)}; got {command!r}{hint}"
