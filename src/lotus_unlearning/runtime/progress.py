"""The bar of epochs, where somebody looks at it."""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(count: int, done: int, *, shown: bool) -> "AbstractContextManager[tqdm[Any]]":
    """Of ``count`` epochs, of which some are ``done``; drawn in a terminal only."""
    from tqdm import tqdm

    return tqdm(
        total=count, initial=done, unit="epoch", disable=not (shown and sys.stderr.isatty())
    )


def advance(bar: "tqdm[Any]", row: Mapping[str, Any]) -> None:
    """One epoch further, with what it logged."""
    bar.update()
    bar.set_postfix({name: value for name, value in row.items() if name != "epoch"})
