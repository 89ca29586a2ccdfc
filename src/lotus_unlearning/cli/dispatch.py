"""Which module runs a command, and what becomes of errors and of several processes."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

COMMANDS = {
    "demo": "forget images with wrong labels: every step, a comparison and a page; about 20 s",
    "train": "train an original model, or a gold one without the images to forget",
    "unlearn": "make a trained model forget images",
    "evaluate": "measure how well a model forgot, beside the original and gold",
    "report": "write the page of a run again",
    "bank": "train many models alike, to compare an unlearned one with",
    "audit": "is an unlearned model distinguishable from retrained ones? a verdict, and a page",
    "bench": "run a table of the paper, or a grid of your own",
    "tune": "search a method's settings, without a gold model or test images",
    "request": "deletion requests: a ledger, the model that is served, signed records",
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

torchrun --standalone --nproc-per-node 2 -m lotus_unlearning COMMAND [options]
                       shares the work of {together} among processes
"""
_INTERRUPTED = "interrupted; nothing was written. The same command starts again."
_PACKAGE = str(Path(__file__).parents[1])
_TOGETHER = ("demo", "train", "unlearn", "evaluate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0; 1 for an error (one message on standard error); 2 for a command line
        that cannot be read; 130 when interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _plain_warnings():
            status = _dispatch(words)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (head, a pager) has seen enough
        _close_output()
        return 0
    except KeyboardInterrupt:  # while modules are loaded
        _complain(f"lotus: {_INTERRUPTED}")
        return 130
    except OSError as error:  # what was shown did not fit on the disk
        from lotus_unlearning.cli.mistakes import told

        _close_output()
        _complain(f"lotus: {told(error)}")
        return 1
    return status


def _close_output() -> None:
    """What is left to be written goes nowhere, else Python itself would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        commands = "\n".join(f"  {n:<9} {h}" for n, h in COMMANDS.items())
        print(_HELP.format(commands=commands, together=", ".join(_TOGETHER)))
        return 0
    if words[0] in ("--version", "version"):
        from lotus_unlearning import __version__

        print(f"lotus-unlearning {__version__}")
        return 0
    command, *rest = words
    if command not in COMMANDS:
        _complain(f"lotus: {_unknown(command)}")
        return 2
    count = os.environ.get("WORLD_SIZE", "1")
    if count == "1":
        status, message = _attempt(command, rest)
        speaks = True
    elif command in _TOGETHER:
        status, message, speaks = _together(command, rest)
    else:
        advice = "start it without torchrun or accelerate launch"
        status, message = 1, f"expected one process, got WORLD_SIZE={count}; {advice}"
        speaks = os.environ.get("RANK", "0") == "0"
    if message and speaks:
        _complain(f"lotus {command}: {message}")
    return status


def _complain(message: str) -> None:
    """To standard error; names of files in it cannot steer the terminal."""
    from lotus_unlearning.wording import harmless

    print(harmless(message), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Within the block, a warning is a line; names of files in it cannot steer the terminal."""
    from lotus_unlearning.wording import harmless

    def line(message: object, kind: type[Warning], file: str, number: int, *_: object) -> str:
        """A warning as one line; of another package with its place."""
        ours = file.startswith(_PACKAGE)
        where = "" if ours else f" ({kind.__name__}, {file}, line {number})"
        return harmless(f"warning: {message}{where}") + "\n"

    before = warnings.formatwarning
    warnings.formatwarning = line  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.formatwarning = before


def _together(command: str, rest: list[str]) -> tuple[int, str, bool]:
    """As :func:`_attempt`, by several processes of which one speaks."""
    from lotus_unlearning.runtime import Processes

    try:
        processes = Processes.start()
    except ValueError as error:  # nobody started the others
        return 1, str(error), True
    try:
        with _silence() if processes.rank else contextlib.nullcontext():
            status, message = _attempt(command, rest)
    except Exception:  # unexpected; or the others are gone, as one of them failed
        if processes.is_first_to_fail():
            raise
        return 1, "", False
    return status, message, bool(message) and processes.is_first_to_fail()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def _attempt(command: str, rest: list[str]) -> tuple[int, str]:
    """The status of a command, and what is to be said if it failed."""
    from lotus_unlearning.cli.mistakes import told
    from lotus_unlearning.cli.parsing import UsageError

    try:
        status = import_module(f"lotus_unlearning.cli.{command}").main(rest)
    except KeyboardInterrupt as stop:
        return 130, str(stop) or _INTERRUPTED
    except BrokenPipeError:
        raise
    except UsageError as error:
        return 2, f"{error}\nlotus {command} --help tells its options"
    except Exception as error:
        message = None if os.environ.get("LOTUS_TRACEBACK") else told(error)
        if message is None:
            raise
        return 1, message
    return int(status or 0), ""


def _unknown(command: str) -> str:
    from lotus_unlearning.wording import did_you_mean

    hint = did_you_mean(command, COMMANDS)
    return f"expected one of {', '.join(COMMANDS)}; got {command!r}{hint}"
