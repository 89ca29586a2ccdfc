"""``lotus cite``: BibTeX of methods."""

from lotus_unlearning.cli import options, parsing
from lotus_unlearning.methods.cards import CARDS

_EXAMPLES = """
lotus cite lotus
lotus cite scrub salun > references.bib
"""


def main(words: list[str]) -> None:
    """Print the BibTeX entries of each named method, each entry once."""
    parser = parsing.parser("cite", "BibTeX of methods.", _EXAMPLES)
    parser.add_argument("method", nargs="+", type=str, help=", ".join(CARDS))
    names = parsing.parse(parser, words).method
    for name in names:
        if name not in CARDS:
            raise ValueError(options.unknown("method", name, CARDS))
    entries = [entry for name in names for entry in CARDS[name].bibtex.split("\n\n")]
    print("\n\n".join(dict.fromkeys(entries)))
