"""What each method's file says of it: what it does and costs, where it differs, whom to cite.

``lotus list methods``, ``lotus cite`` and docs/methods.md print from here.
"""

import dataclasses
import inspect
import re

from lotus_unlearning.methods import METHODS
from lotus_unlearning.methods.form import Card


def about(name: str) -> str:
    """The first line of the method's file, without the name of its class."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    return text.split("\n", 1)[0].split(": ", 1)[-1]


def formula(name: str) -> str:
    """The indented lines of the method's file: its formula."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    lines = re.findall(r"(?m)^    .*$", text)
    return "\n".join(line[4:] for line in lines)


def differs(name: str) -> str:
    """Where the method differs from its paper or published code, as its file says."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    found = re.search(r"(?s)Differs: (.*?)(\n\n|$)", text)
    said = " ".join(found[1].split()) if found else "in nothing that we know of."
    return said[0].upper() + said[1:]


def mind(name: str) -> str:
    """What else to know before using the method, as its file says; empty where nothing."""
    text = inspect.getdoc(inspect.getmodule(METHODS[name])) or ""
    found = re.search(r"(?s)\n\nMind: (.*?)(\n\n|$)", text)
    said = " ".join(found[1].split()) if found else ""
    return said[:1].upper() + said[1:]


def settings_of(name: str) -> dict[str, str]:
    """What each setting is and where its default comes from, as the method's docstring says.

    Settings of a record within the method go by ``record.setting``.

    >>> settings_of("finetune")["learning_rate"]
    'Of SGD (Kurmanji et al.: 0.01; LoTUS tables: 1e-3).'
    """
    found = _attributes(METHODS[name])
    for field in dataclasses.fields(METHODS[name]):
        record = field.default_factory
        if isinstance(record, type) and record.__module__ == METHODS[name].__module__:
            inner = _attributes(record)
            found |= {f"{field.name}.{key}": said for key, said in inner.items()}
    return found


def _attributes(kind: type) -> dict[str, str]:
    listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found = re.findall(r"(?m)^    (\w+): (.*(?:\n        .*)*)", listed)
    return {key: " ".join(said.split()) for key, said in found}


def _card(method: type) -> Card:
    card: Card = vars(inspect.getmodule(method))["CARD"]
    return card


CARDS = {name: _card(method) for name, method in METHODS.items()}
"""Method -> card; the same names as ``METHODS``."""
