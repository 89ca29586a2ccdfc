"""The kinds of values in a page, see :mod:`lotus_unlearning.report.page`."""

from typing import Any, Literal, NotRequired, TypedDict

ByColumn = dict[str, float | None]
Heights = dict[str, list[float | None]]


class Row(TypedDict):
    """Of the table."""

    measure: str
    label: str
    direction: Literal["up", "down", "near gold"]
    unit: Literal["", "share", "s", "bytes", "nats"]
    definition: NotRequired[str]
    values: ByColumn
    intervals: NotRequired[dict[str, list[float] | None] | None]


class _Method(TypedDict, total=False):
    name: str | None
    settings: dict[str, Any] | None
    citation: str | None


class _Entropy(TypedDict, total=False):
    edges: list[float]
    forget: Heights
    unseen: Heights


class _Curve(TypedDict, total=False):
    fpr: list[float]
    tpr: list[float]
    auc: float | None
    low: float | None
    high: float | None


class _ClassDivergence(TypedDict, total=False):
    classes: list[str]
    values: Heights
    missing: list[str] | None


class _ClassAccuracy(TypedDict, total=False):
    classes: list[str]
    values: dict[str, Heights]


_Belief = TypedDict("_Belief", {"class": str | int, "probability": float | None}, total=False)


class _Image(TypedDict, total=False):
    id: str | int
    label: str | int | None
    png: str | None
    before: _Belief | None
    after: _Belief | None
    gold: _Belief | None


class Page(TypedDict):
    """All sections; but for the first three they may be absent or empty."""

    title: str
    columns: list[str]
    table: list[Row]
    summary: NotRequired[list[str] | None]
    method: NotRequired[_Method | None]
    history: NotRequired[list[dict[str, float | None]] | None]
    entropy: NotRequired[_Entropy | None]
    roc: NotRequired[dict[str, dict[str, _Curve]] | None]
    class_divergence: NotRequired[_ClassDivergence | None]
    class_accuracy: NotRequired[_ClassAccuracy | None]
    images: NotRequired[list[_Image] | None]
    notes: NotRequired[list[str] | None]
    manifest: NotRequired[dict[str, Any] | None]
