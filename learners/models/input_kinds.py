"""Whether an input of a model is declared as text or as a number."""

from __future__ import annotations

import json
from typing import Any, Literal, Protocol

from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureServiceSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
)
from headrace.schemas.feature_types import ValueType
from headrace.schemas.plan import Plan

Kind = Literal["text", "number"]

_TEXTS: tuple[ValueType, ...] = ("String",)
_AVRO: dict[str, Kind] = {
    "string": "text",
    "enum": "text",
    **dict.fromkeys(("int", "long", "float", "double", "boolean"), "number"),
}


class Declarations(Protocol):
    """What declares the types of request fields: a `Plan`, or the parts that become one."""

    @property
    def sources(self) -> tuple[SourceSpec, ...]: ...
    @property
    def stream_views(self) -> tuple[StreamViewSpec, ...]: ...
    @property
    def batch_views(self) -> tuple[BatchViewSpec, ...]: ...
    @property
    def on_demand_views(self) -> tuple[OnDemandViewSpec, ...]: ...
    @property
    def services(self) -> tuple[FeatureServiceSpec, ...]: ...


def kind_of(dtype: ValueType) -> Kind:
    """Return the kind of a feature or field of a declared type, as the prediction log has it.

    >>> kind_of("String"), kind_of("Float32"), kind_of("UnixTimestamp")
    ('text', 'number', 'number')
    """
    return "text" if dtype in _TEXTS else "number"


def request_kind(plan: Plan, name: str) -> Kind | None:
    """Return the kind of a request field, by `declared_type` or `event_type`.

    None where there is neither, or an event field that may be either kind.
    """
    dtype = declared_type(plan, name)
    return kind_of(dtype) if dtype is not None else _avro_kind(event_type(plan, name))


def declared_type(parts: Declarations, name: str) -> ValueType | None:
    """Return the type of the join key, or field that an on-demand view takes, of this name.

    A join key may have the name that a service maps it to.
    """
    views = {view.name: view.join_keys for view in parts.stream_views}
    views |= {view.name: view.join_keys for view in parts.batch_views}
    keys = [key for join_keys in views.values() for key in join_keys]
    asked = [field for view in parts.on_demand_views for field in view.request]
    refs = [ref for service in parts.services for ref in service.features]
    refs += [ref for view in parts.on_demand_views for ref in view.inputs]
    mapped = [key for ref in refs if ref.join_key_map for key in ref.request_keys(views[ref.view])]
    return next((field.dtype for field in (*keys, *asked, *mapped) if field.name == name), None)


def event_type(parts: Declarations, name: str) -> Any:
    """Return the Avro type, as JSON, of the event field of this name; None when no source has one."""
    fields = (field for source in parts.sources for field in json.loads(source.reader_schema)["fields"])
    return next((field["type"] for field in fields if field["name"] == name), None)


def _avro_kind(declared: Any) -> Kind | None:
    if isinstance(declared, list):
        kinds = {_avro_kind(branch) for branch in declared if branch != "null"}
        return kinds.pop() if len(kinds) == 1 else None
    return _avro_kind(declared["type"]) if isinstance(declared, dict) else _AVRO.get(declared)
