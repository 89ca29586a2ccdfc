"""What jsonargparse says of a grid's entry that is wrong, in the words of our own messages."""

import re

from lotus_unlearning.wording import did_you_mean

_EXPECTED = re.compile(r"Expected a (?:typing\.Literal\[(.*)\]|<class '(.*)'>)\. Got value: (.*)")
_UNION = re.compile(r"(.*?)\n\s*Given value type: [^\n]*\n\s*Given value: ([^\n]*)", re.DOTALL)


def in_short(error: str) -> str:
    r"""What jsonargparse says of a value, less its types; as it is, where that is not known.

    >>> in_short("Parser key \"grid.golds\":\n  Expected a <class 'int'>. Got value: many")
    'golds: expected int, got many'
    """
    keys = ".".join(re.findall(r'Parser key "(?:grid\.)?([^"]+)"', error))
    before = f"{keys}: " if keys else ""
    _, _, innermost = error.rpartition("Errors:\n")
    if union := _UNION.match(innermost):
        parts = re.split(r"^\s*- ", union[1], flags=re.MULTILINE)[1:]
        found = {part: _kind(part) for part in map(_less_classes, parts)}
        more = [part for part, kind in found.items() if kind is None]
        kinds = " or ".join(dict.fromkeys(kind for kind in found.values() if kind is not None))
        return before + (" or ".join(more) or f"expected {kinds}, got {union[2]}")
    last = error.strip().splitlines()[-1].strip()
    plain = _EXPECTED.fullmatch(last)
    if not keys or plain is None:
        return error
    choices, kind, value = plain.groups()
    if kind:
        return f"{before}expected {kind}, got {value}"
    known = re.findall(r"'([^']*)'", choices)
    return f"{before}expected one of {', '.join(known)}; got {value!r}{did_you_mean(value, known)}"


def _less_classes(error: str) -> str:
    """One line, without the names of our classes."""
    lines = (line.strip() for line in error.splitlines())
    return " ".join(line for line in lines if not line.startswith("Problem with given"))


def _kind(error: str) -> str | None:
    """What one type of several expects; ``None`` if it says more than that."""
    if kind := re.fullmatch(r"Expected a <class '(\w+)'>", error):
        return "null" if kind[1] == "NoneType" else kind[1]
    if "import path" in error or "Unable to load" in error or "Not a valid subclass" in error:
        return "a mapping of settings"
    return None
