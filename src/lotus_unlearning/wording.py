"""Words of and for people at a terminal: names that nobody knows, text that nobody checked."""

import difflib
import unicodedata
from collections.abc import Iterable


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


def harmless(text: str) -> str:
    r"""Characters that would steer a terminal, written out; lines stay lines.

    >>> print(harmless("ticket 812 \x1b[2J"))
    ticket 812 \x1b[2J
    """
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c)[0] == "C" and c != "\n" else c for c in text
    )
