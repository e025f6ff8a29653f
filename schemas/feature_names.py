"""Names of features, join keys and request fields that are read together, and must be apart.

A feature is ``view__feature`` in responses, predictions and training sets, so that two features may have one
name: ``c`` of view ``a__b``, and ``b__c`` of view ``a``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import FeatureRef, FieldSpec, OnDemandViewSpec
    from headrace.schemas.plan import Plan

LOG_COLUMNS = (
    "event_timestamp",
    "created",
    "_partition",
    "_offset",
    "event_day",
)  # besides keys and features


def name_clash(plan: Plan, refs: Iterable[FeatureRef], fields: Iterable[str] = ()) -> str | None:
    """Say which two of the names that are read for some features are one name; None where all are apart.

    These are the features, the inputs of their on-demand views, the join keys, and the fields of the request.

    Parameters
    ----------
    refs
        Features of the plan.
    fields
        Further fields of the request.
    """
    read = list(dict.fromkeys((*(refs := tuple(refs)), *plan.stored(refs))))
    on_demand = plan.on_demand_of(refs)
    owners = {name: "a field of the request" for name in fields}
    owners |= {field.name: "a field of the request" for view in on_demand for field in view.request}
    owners |= {key.name: "a join key" for key in _join_keys(plan, refs)}
    for ref in read:
        name, feature = ref.full_name, f"feature '{ref.view}:{ref.feature}'"
        if name in owners:
            return f"{owners[name]} and {feature} are both called '{name}'"
        owners[name] = feature
    clashes = (_input_clash(plan, view) for view in on_demand)
    return next((clash for clash in clashes if clash is not None), None) or _type_clash(plan, refs)


def _join_keys(plan: Plan, refs: Iterable[FeatureRef]) -> Iterator[FieldSpec]:
    for ref in plan.stored(refs):
        yield from plan.view(ref.view).join_keys


def _input_clash(plan: Plan, view: OnDemandViewSpec) -> str | None:
    """Say which two inputs a function would have under one name: it has features under ``feature``, too."""
    owners = {field.name: "a field of its request" for field in view.request}
    owners |= {key.name: "a join key" for key in _join_keys(plan, view.inputs)}
    owners |= {ref.full_name: f"feature '{ref.view}:{ref.feature}'" for ref in view.inputs}
    for ref in view.inputs:
        if ref.feature in owners:
            where = f"feature '{ref.view}:{ref.feature}' and {owners[ref.feature]}"
            return f"on demand feature view '{view.name}' is given {where} under the name '{ref.feature}'"
    return None


def _type_clash(plan: Plan, refs: Iterable[FeatureRef]) -> str | None:
    """Say which field of a request would have two types."""
    request = [field for view in plan.on_demand_of(refs) for field in view.request]
    types: dict[str, str] = {}
    for field in (*request, *_join_keys(plan, refs)):
        dtype = types.setdefault(field.name, field.dtype)
        if dtype != field.dtype:
            return f"'{field.name}' of the request is both {dtype} and {field.dtype}"
    return None
