"""Plain data that names a value, and goes on naming it when the code grows."""

import dataclasses
from typing import Any

from lotus_unlearning.own_code import written_in


def canonical(value: Any) -> Any:
    """Plain data that names ``value``: settings that are at their defaults are left out.

    So a setting that is added to a record later, with a default that changes nothing, leaves the
    names of finished cells as they are.

    >>> from lotus_unlearning import Recipe
    >>> from lotus_unlearning.benchmark.cells import DataChoice
    >>> canonical(DataChoice(name="digits", limit=None))
    {'is': 'DataChoice', 'name': 'digits'}
    >>> canonical(Recipe(learning_rate=1)) == canonical(Recipe(learning_rate=1.0))
    True
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            item, default = getattr(value, field.name), _default(field)
            if item != default:
                whole = isinstance(default, float) and type(item) is int
                named[field.name] = canonical(float(item) if whole else item)
        code = written_in(type(value))  # another file of one's own gives other results
        return {"is": type(value).__name__, **({"code": code} if code else {}), **named}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, str | int | float | bool | None):
        return value
    raise TypeError(
        f"expected settings that can be written down, got {type(value).__name__}; pass models in "
        "Python, not in a benchmark"
    )


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
