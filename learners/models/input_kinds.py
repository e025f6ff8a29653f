"""Whether an input of a model is declared as text or as a number."""

from __future__ import annotations

import json
from typing import Any, Literal

from headrace.schemas.feature_types import ValueType
from headrace.schemas.plan import Plan

Kind = Literal["text", "number"]

_TEXTS: tuple[ValueType, ...] = ("String",)
_AVRO: dict[str, Kind] = {
    "string": "text",
    "enum": "text",
    **dict.fromkeys(("int", "long", "float", "double", "boolean"), "number"),
}


def kind_of(dtype: ValueType) -> Kind:
    """Return the kind of a feature or field of a declared type, as the prediction log has it.

    >>> kind_of("String"), kind_of("Float32"), kind_of("UnixTimestamp")
    ('text', 'number', 'number')
    """
    return "text" if dtype in _TEXTS else "number"


def request_kind(plan: Plan, name: str) -> Kind | None:
    """Return the kind of a request field: of the join key, on-demand field or event field of its name.

    None where there is no such one, or an event field that may be either.
    """
    keys = [key for view in plan.stream_views for key in view.join_keys]
    keys += [key for view in plan.batch_views for key in view.join_keys]
    asked = [field for view in plan.on_demand_views for field in view.request]
    for field in (*keys, *asked):
        if field.name == name:
            return kind_of(field.dtype)
    for source in plan.sources:
        for event_field in json.loads(source.reader_schema)["fields"]:
            if event_field["name"] == name:
                return _avro_kind(event_field["type"])
    return None


def _avro_kind(declared: Any) -> Kind | None:
    if isinstance(declared, list):
        kinds = {_avro_kind(branch) for branch in declared if branch != "null"}
        return kinds.pop() if len(kinds) == 1 else None
    return _avro_kind(declared["type"]) if isinstance(declared, dict) else _AVRO.get(declared)
