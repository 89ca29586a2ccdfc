"""Command lines: options with hyphens or underscores, config files, and what is wrong in words."""

import argparse
import difflib
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from lotus_unlearning.cli import configs
from lotus_unlearning.cli.config_values import KINDS, misfits, short

_WIDTH = 98


class UsageError(Exception):
    """A command line or config file that cannot be read; the message says why."""


class _Help(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):  # type: ignore[misc]
    """Types and defaults beside each option, as YAML has them; examples as they are written."""

    def _expand_help(self, action: argparse.Action) -> str:
        return _as_typed(super()._expand_help(action))


def _as_typed(text: str) -> str:
    """Help without marks of docstrings, and with values as they are typed.

    >>> _as_typed("``None``: all (type: Literal['sgd', 'adamw'], default: False)")
    'null: all (type: sgd | adamw, default: false)'
    >>> _as_typed("(type: Union[int, Literal['auto']]) (type: Optional[Literal[0, 1]])")
    '(type: int | auto) (type: 0 | 1 | null)'
    """
    text = re.sub(r"``(.*?)``", lambda m: "null" if m[1] == "None" else m[1].strip('"'), text)
    text = re.sub(r"Literal\[(.*?)\]", lambda m: m[1].replace("'", "").replace(", ", " | "), text)
    text = re.sub(r"Optional\[(.*?)\]", r"\1 | null", text)
    text = re.sub(r"Union\[(.*?)\]", lambda m: m[1].replace(", ", " | "), text)
    return re.sub(r"default: (True|False)", lambda m: f"default: {m[1].lower()}", text)


def parser(command: str, summary: str, examples: str) -> ArgumentParser:
    """A parser with a config file, and examples at the end of its help."""
    made = ArgumentParser(
        prog=f"lotus {command}",
        description=textwrap.fill(summary, _WIDTH),
        formatter_class=_Help,
        epilog="examples:\n" + textwrap.indent(textwrap.dedent(examples).strip(), "  "),
        exit_on_error=False,
        allow_abbrev=False,
    )
    made.add_argument("--config", action="config", help="YAML file with any of these options")
    return made


def parse(made: ArgumentParser, words: list[str]) -> Any:
    """The options, with defaults where ``words`` name none.

    Raises:
        UsageError: If a word is no option or a value does not fit.
        ValueError: If a config file cannot be read.
    """
    return _parsed(made, words, defaults=True)


def given(made: ArgumentParser, words: list[str]) -> set[str]:
    """Names of the options that ``words``, or a config file in them, give a value to."""
    values = _parsed(made, words, defaults=False).as_dict()
    return {name for name, value in values.items() if value is not None}


def _parsed(made: ArgumentParser, words: list[str], *, defaults: bool) -> Any:
    words = configs.expanded(made.prog.removeprefix("lotus "), words)
    problems = misfits(made._actions, words)
    if problems:
        raise UsageError("\n".join(problems))
    try:
        return made.parse_args(words, defaults=defaults)
    except argparse.ArgumentError as error:
        raise UsageError(_in_words(str(error), list(_names(made)))) from None


def _names(made: ArgumentParser) -> Iterator[str]:
    yield from made.get_defaults().keys()


def _in_words(message: str, names: list[str]) -> str:
    """What jsonargparse says, as the other messages are: expected, got, what to do."""
    unknown = re.search(r"unrecognized arguments: (.*)", message)
    if unknown is not None:
        words = unknown[1].split()
        flags = [w.partition("=")[0] for w in words if w.startswith("--")]
        if not flags:
            return f"expected options that begin with --, got {unknown[1]!r}"
        hints = "".join(_hint(flag.removeprefix("--"), names, "--") for flag in flags)
        return f"expected options of this command, got {', '.join(flags)}{hints}"
    key = re.search(r"Option '([^']+)' is not accepted", message)
    inner = re.search(r"Group '([^']+)' does not accept option '([^']+)'", message)
    if key is not None or inner is not None:
        name = key[1] if key is not None else ".".join(inner.groups()) if inner is not None else ""
        return f"config: expected options of this command, got {name!r}{_hint(name, names, '')}"
    missing = re.search(r"arguments are required: (.*)", message)
    if missing is not None:
        return f"expected --{', --'.join(missing[1].split(', '))}, got none"
    return _value(message) or " ".join(message.split())


def _value(message: str) -> str | None:
    """For a value of the wrong kind."""
    key = re.search(r'Parser key "([^"]+)"', message)
    got = re.search(r"(?:Got|Given) value: (.*)", message, re.DOTALL)
    if key is None or got is None:
        return None
    kinds = re.findall(
        r"Expected (?:an? )?(?:<class '(\w+)'>|typing\.Literal\[([^\]]*)\])", message
    )
    words = [KINDS.get(k, k) or c.replace("'", "").replace(", ", " or ") for k, c in kinds]
    return f"{key[1]}: expected {' or '.join(dict.fromkeys(words))}, got {short(got[1])}"


def _hint(name: str, names: Iterable[str], dashes: str) -> str:
    """The option that ``name`` may have meant: the same at the end, or spelt alike there.

    >>> _hint("epohcs", ["data", "recipe.epochs"], "--")
    "; did you mean '--recipe.epochs'?"
    """
    known = {known.lower(): known for known in names}
    ends = {one.rpartition(".")[2]: known[one] for one in reversed(known)}
    low = name.lower().replace("-", "_")
    near = [low] if low in ends else difflib.get_close_matches(low, ends | known, n=1)
    return f"; did you mean {dashes + (ends | known)[near[0]]!r}?" if near else ""
