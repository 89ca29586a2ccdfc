"""A page of plain data becomes one HTML file.

A page is a mapping of JSON-able values. ``title``, ``columns`` and ``table`` must be there; every
other section may be absent or empty, and then leaves no trace.

=================== ==============================================================================
title               str
summary             plain sentences
method              {name, settings: {..}, citation}
columns             names of the models compared, say original, unlearned, gold
table               rows {measure, label, direction: "up" | "down" | "near gold", unit: "" |
                    "share" | "s" | "bytes" | "nats", definition, values: {column: float | None},
                    intervals: {column: [low, high]}}
history             rows {epoch, tau, forget_accuracy, unseen_accuracy, loss, ..}, any of them
entropy             {edges, forget: {column: [..]}, unseen: {column: [..]}}, counts or density
roc                 {score: {column: {fpr, tpr, auc, low, high}}}
class_divergence    {classes, values: {column: [float | None]}, missing: [names]}
class_accuracy      {classes, values: {column: {split: [float | None]}}}
images              rows {id, label, png (base64), before: {class, probability}, after, gold | None}
notes               caveats
manifest            nested mapping: hashes, ids, versions, seeds
=================== ==============================================================================
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from lotus_unlearning.files.folders import replace_text

NOTHING = "–"
ARROWS = {"up": "↑", "down": "↓", "near gold": "≈", "": ""}
ARROWS_IN_TEXT = {**ARROWS, "near gold": "≈ gold"}
"""Where no legend says what is near what."""


def percent(value: float | None) -> str:
    """A share as a percentage.

    Args:
        value: A share, usually in [0, 1].

    Returns:
        One decimal, or two significant digits where that would round to nothing.

    >>> percent(0.934), percent(1), percent(0.00042), percent(None)
    ('93.4 %', '100.0 %', '0.042 %', '–')
    """
    if not is_finite(value):
        return _odd(value)
    points = 100 * value
    return _minus(f"{points:.1f} %" if points == 0 or abs(points) >= 0.1 else f"{points:.2g} %")


def seconds(value: float | None) -> str:
    """A duration in the unit a reader would use.

    Args:
        value: Seconds.

    Returns:
        Milliseconds, seconds, minutes or hours.

    >>> seconds(1.234), seconds(0.0123), seconds(42), seconds(125), seconds(7260)
    ('1.2 s', '12 ms', '42.0 s', '2 min 05 s', '2 h 01 min')
    """
    if not is_finite(value):
        return _odd(value)
    size = abs(value)
    sign = "−" if value < 0 else ""
    if size < 0.0995:
        return f"{sign}{1000 * size:.2g} ms" if size else "0 s"
    if size < 99.95:
        return f"{sign}{size:.1f} s"
    minutes, rest = divmod(round(size), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest:02d} s"
    return f"{sign}{minutes // 60:,} h {minutes % 60:02d} min"


def amount(value: float | None) -> str:
    """Bytes in decimal units.

    Args:
        value: Number of bytes.

    Returns:
        Two or three digits and a unit.

    >>> amount(34_100_000), amount(3_400_000_000), amount(512), amount(None)
    ('34 MB', '3.4 GB', '512 B', '–')
    """
    if not is_finite(value):
        return _odd(value)
    size, unit = float(value), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if abs(size) < 999.5:
            break
        size, unit = size / 1000, larger
    return _minus(
        f"{size:.1f} {unit}" if abs(size) < 9.95 and unit != "B" else f"{size:.0f} {unit}"
    )


def number(value: float | None) -> str:
    """A number with four significant digits.

    Args:
        value: Any number.

    Returns:
        Four significant digits; large numbers and whole ones with all digits before the point.

    >>> number(0.0123456), number(0.00001234567), number(12345), number(-0.5), number(None)
    ('0.01235', '1.235e-05', '12,345', '−0.5', '–')
    """
    if not is_finite(value):
        return _odd(value)
    if abs(value) >= 1000 or value == int(value):
        return _minus(f"{value:,.0f}")
    return _minus(f"{value:.4g}")


_FORMATS = {"": number, "nats": number, "share": percent, "s": seconds, "bytes": amount}


def formatted(value: float | None, unit: str) -> str:
    """A value in its unit, as a reader should see it.

    Args:
        value: A number, or None where nothing was measured.
        unit: "", "share", "s", "bytes" or "nats".

    Returns:
        The value as text; nats carry no unit here, because the column head or label names it.

    >>> formatted(0.934, "share"), formatted(1.234, "s"), formatted(0.69315, "nats")
    ('93.4 %', '1.2 s', '0.6931')
    """
    return _FORMATS[unit](value)


def render(page: Mapping[str, Any]) -> str:
    """The page as one HTML document that loads nothing from anywhere.

    Args:
        page: Plain data, see the top of this module.

    Returns:
        HTML with style, charts and images inside. Equal pages give equal text.

    Raises:
        ValueError: The page is incomplete or inconsistent; all problems at once.

    >>> row = {"measure": "a", "label": "Test accuracy", "direction": "up", "unit": "share"}
    >>> row |= {"values": {"original": 0.93}}
    >>> html = render({"title": "Forgetting", "columns": ["original"], "table": [row]})
    >>> html.splitlines()[0], "93.0 %" in html, "https:" in html
    ('<!doctype html>', True, False)
    """
    from lotus_unlearning.report.problems import problems
    from lotus_unlearning.report.view import environment, view

    found = problems(page)
    if found:
        raise ValueError("This page cannot be rendered: " + "; ".join(found) + ".")
    try:
        return environment().get_template("template.html").render(view(page))
    except RecursionError:
        raise ValueError(
            "This page cannot be rendered: values stand within values too deep."
        ) from None


def write(page: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Render the page into a file that is either complete or untouched.

    Args:
        page: Plain data, see the top of this module.
        path: The HTML file; missing folders are made.

    Returns:
        The path written.

    Raises:
        ValueError: The page is incomplete or inconsistent; a file already there stays as it is.
    """
    html = render(page)
    path = Path(path)
    replace_text(path, html)
    return path


def is_finite(value: float | None) -> TypeGuard[float]:
    """Whether there is a value to show."""
    return value is not None and math.isfinite(value)


def _odd(value: float | None) -> str:
    if value is None or math.isnan(value):
        return NOTHING
    return "∞" if value > 0 else "−∞"


def _minus(text: str) -> str:
    """A real minus sign in front, but the plain one stays inside exponents."""
    return "−" + text[1:] if text.startswith("-") else text
