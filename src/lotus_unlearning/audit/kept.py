"""What a probe found of a bank's model, kept in the bank: every audit asks it of each gold."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lotus_unlearning.audit.members import digest
from lotus_unlearning.files.folders import replace_text
from lotus_unlearning.files.plain import from_json

_FOLDER = "probes"


def kept(
    bank: Path | None,
    facts: Mapping[str, Any],
    find: Callable[[], Any],
    fits: Callable[[Any], bool],
) -> Any:
    """What was found before of the same facts, else what is found now and then kept.

    Args:
        bank: Its folder; ``None`` for a model of no bank, of which nothing is kept. One that cannot
            be written to is only read.
        facts: Plain data: everything that determines the result.
        find: Makes plain data.
        fits: Whether contents of a file can be such a result; a damaged file is made again.
    """
    if bank is None:
        return find()
    path = bank / _FOLDER / f"{digest(facts)}.json"
    with suppress(OSError, ValueError):
        before = from_json(path)
        if (
            isinstance(before, dict)
            and before.get("facts") == dict(facts)
            and fits(before.get("found"))
        ):
            return before["found"]
    found = find()
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        replace_text(path, json.dumps({"facts": dict(facts), "found": found}) + "\n")
    return found
