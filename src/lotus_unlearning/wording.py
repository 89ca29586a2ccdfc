"""Words of and for people at a terminal: names that nobody knows, text that nobody checked."""

import difflib
import unicodedata
from collections.abc import Iterable

ZERO_WIDTH_NON_JOINER, ZERO_WIDTH_JOINER = "\u200c", "\u200d"
_LINE_ENDS = ("Cc", "Zl", "Zp")
_KEPT = ("\n", ZERO_WIDTH_NON_JOINER, ZERO_WIDTH_JOINER)


def did_you_mean(name: str, known: Iterable[str], *, before: str = "") -> str:
    """The end of a sentence about an unknown name: the nearest known one, if one is near.

    Args:
        name: As it was written.
        known: Names that there are.
        before: Stands before the name that is meant, as ``--`` does.

    >>> did_you_mean("Lotsu", ["lotus", "scrub"]), did_you_mean("x", ["lotus"])
    ("; did you mean 'lotus'?", '')
    """
    names = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    return f"; did you mean {before + names[near[0]]!r}?" if near else ""


def refused(text: str) -> list[str]:
    r"""Names of the characters in ``text`` that do not belong in one line of text, each once.

    >>> refused("two\nlines \u202e")
    ['\\n', '\\u202e (RIGHT-TO-LEFT OVERRIDE)']
    """
    found = {c: None for c in text if harmless(c) != c or unicodedata.category(c) in _LINE_ENDS}
    return [f"{ascii(c)[1:-1]}{_in_brackets(unicodedata.name(c, ''))}" for c in found]


def is_blank(text: str) -> bool:
    """Whether nothing of ``text`` can be seen."""
    return all(c.isspace() or c in _KEPT for c in text)


def _in_brackets(name: str) -> str:
    return f" ({name})" if name else ""


def harmless(text: str) -> str:
    r"""Characters that would steer a terminal, written out; lines stay lines.

    The two joiners stay: they steer nothing, and Persian words and many emoji need them.

    >>> print(harmless("ticket 812 \x1b[2J"))
    ticket 812 \x1b[2J
    """
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c)[0] == "C" and c not in _KEPT else c for c in text
    )
