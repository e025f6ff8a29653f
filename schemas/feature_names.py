"""Names of features, join keys and request fields that are read together, and must be apart.

A feature is ``view__feature`` in responses, predictions and training sets, so that two features may have one
name: ``c`` of view ``a__b``, and ``b__c`` of view ``a``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import FeatureRef, OnDemandViewSpec
    from headrace.schemas.plan import Plan

LOG_COLUMNS = (
    "event_timestamp",
    "created",
    "_partition",
    "_offset",
    "event_day",
)  # besides keys and features


def name_clash(
    plan: Plan, refs: Iterable[FeatureRef], fields: Iterable[str] = (), logged: bool = False
) -> str | None:
    """Say which two of the names that are read for some features are one name; None where all are apart.

    These are the features, the inputs of their on-demand views, the join keys, and the fields of the request.

    Parameters
    ----------
    refs
        Features of the plan.
    fields
        Further fields of the request.
    logged
        Whether the lists among the features stand by their elements, as in predictions.
    """
    read = list(dict.fromkeys((*(refs := tuple(refs)), *plan.stored(refs))))
    on_demand = plan.on_demand_of(refs)
    owners = {name: "a field of the request" for name in fields}
    owners |= {field.name: "a field of the request" for view in on_demand for field in view.request}
    owners |= {key.name: "a join key" for key in plan.request_keys(refs)}
    for ref in read:
        feature = f"feature '{ref.text}'"
        elements = [each.name for each in plan.logged_names(ref)] if logged and ref in refs else []
        for name in dict.fromkeys((ref.full_name, *elements)):
            if name in owners:
                return f"{owners[name]} and {feature} are both called '{name}'"
            owners[name] = feature
    clashes = (_input_clash(plan, view) for view in on_demand)
    given = next((clash for clash in clashes if clash is not None), None)
    return given or _view_clash(read) or _type_clash(plan, refs)


def _view_clash(refs: Iterable[FeatureRef]) -> str | None:
    """Say which two views, or one by two columns, are read by one name: so are their rows in the log."""
    first: dict[str, FeatureRef] = {}
    for ref in refs:
        other = first.setdefault(ref.view_name, ref)
        if other.projection != ref.projection:
            return f"feature '{other.text}' and feature '{ref.text}' are of two views by one name"
    return None


def _input_clash(plan: Plan, view: OnDemandViewSpec) -> str | None:
    """Say which two inputs a function would have under one name: it has features under ``feature``, too."""
    owners = {field.name: "a field of its request" for field in view.request}
    owners |= {key.name: "a join key" for key in plan.request_keys(view.inputs)}
    owners |= {ref.full_name: f"feature '{ref.text}'" for ref in view.inputs}
    for ref in view.inputs:
        if ref.feature in owners:
            where = f"feature '{ref.text}' and {owners[ref.feature]}"
            return f"on demand feature view '{view.name}' is given {where} under the name '{ref.feature}'"
    return None


def _type_clash(plan: Plan, refs: Iterable[FeatureRef]) -> str | None:
    """Say which field of a request would have two types."""
    request = [field for view in plan.on_demand_of(refs) for field in view.request]
    types: dict[str, str] = {}
    for field in (*request, *plan.request_keys(refs)):
        dtype = types.setdefault(field.name, field.dtype)
        if dtype != field.dtype:
            return f"'{field.name}' of the request is both {dtype} and {field.dtype}"
    return None
