"""Text of strangers in a terminal."""

import unicodedata


def harmless(text: str) -> str:
    r"""Characters that would steer a terminal, written out; lines stay lines.

    >>> print(harmless("ticket 812 \x1b[2J"))
    ticket 812 \x1b[2J
    """
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c)[0] == "C" and c != "\n" else c for c in text
    )
