"""Parts of a plan in words, as `headrace plan` prints them.

>>> from headrace.schemas.feature_specs import AggregationSpec
>>> mean = AggregationSpec(
...     feature="mean_1h", function="mean", column="delay", dtype="Float64",
...     window_ms=3_600_000, hop_ms=300_000,
... )
>>> aggregation_text(mean)
'mean of delay over 1:00:00 every 0:05:00'
>>> field_change("ttl_ms", 0, 86_400_000)
'ttl: none -> 1 day'
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from headrace.schemas.domains import DomainSpec
from headrace.schemas.feature_specs import (
    AggregationSpec,
    BatchViewSpec,
    ColumnSpec,
    StreamViewSpec,
    UdfSpec,
)
from headrace.schemas.spec import Spec

_LONGEST = 60  # characters of a value that are shown
_DIGEST = 12  # characters of a hash that are shown


def value_text(value: Any) -> str:
    """The value of a field, cut where it is long."""
    if isinstance(value, UdfSpec):
        return f"{value.digest} of {', '.join(column.name for column in value.inputs)}"
    if isinstance(value, DomainSpec):
        value = value.text
    if isinstance(value, Spec):
        value = value.model_dump(mode="json")
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    text = ", ".join(map(str, value)) if is_list else "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def column_text(column: ColumnSpec) -> str:
    """A column of a udf, such as ``amount: double or null``."""
    return f"{column.name}: {column.kind}{' or null' if column.nullable else ''}"


def aggregation_text(spec: AggregationSpec) -> str:
    """An aggregation and its window, such as ``sum of price over 1:00:00 every 0:05:00``."""
    window, hop = _duration("window_ms", spec.window_ms), _duration("hop_ms", spec.hop_ms)
    over = f"{window} every {hop}" if spec.window_ms else "its lifetime (keys are never forgotten)"
    return f"{spec.function} of {spec.column} over {over}"


def field_change(field: str, before: Any, after: Any) -> str:
    """A change of a field, as ``name: before -> after``.

    Milliseconds are shown as durations, hashes are cut, and of a udf only what differs is shown.
    """
    if isinstance(before, UdfSpec) and isinstance(after, UdfSpec):
        return f"{field}: {', '.join(_udf_changes(before, after))}"
    if field == "definition":
        return f"{field}: {before[:_DIGEST]} -> {after[:_DIGEST]}"
    if field.endswith("_ms"):
        return f"{field.removesuffix('_ms')}: {_duration(field, before)} -> {_duration(field, after)}"
    return f"{field}: {value_text(before)} -> {value_text(after)}"


def _udf_changes(before: UdfSpec, after: UdfSpec) -> Iterator[str]:
    if before.source != after.source:
        yield f"text {before.digest} -> {after.digest}"
    for verb, old, new in (("takes", before.inputs, after.inputs), ("gives", before.outputs, after.outputs)):
        if old != new:
            old_text, new_text = (", ".join(map(column_text, columns)) for columns in (old, new))
            yield f"{verb} {old_text or 'nothing'} -> {new_text or 'nothing'}"


def _duration(field: str, duration_ms: int) -> str:
    if duration_ms == 0 and field in ("window_ms", "ttl_ms"):
        return "lifetime" if field == "window_ms" else "none"
    return str(timedelta(milliseconds=duration_ms)).removesuffix(", 0:00:00")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedSpec = TypeVar("_NamedSpec", bound=_Named)


def find(specs: Sequence[_NamedSpec], name: str) -> _NamedSpec | None:
    """The specification of that name; None where there is none."""
    return next((spec for spec in specs if spec.name == name), None)


def view_features(view: Spec | None) -> dict[str, object]:
    """Definitions of the features of a view; the udf of the view is part of each."""
    if isinstance(view, StreamViewSpec):
        return {aggregation.feature: (aggregation, view.udf) for aggregation in view.aggregations}
    return {f.name: f for f in view.features} if isinstance(view, BatchViewSpec) else {}
