"""On-demand features of a response, from those that were read and the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.on_demand.functions import OnDemandFunctions, OnDemandView
from headrace.schemas.feature_types import ValueType

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import OnDemandViewSpec
    from headrace.schemas.plan import Plan


class OnDemandStep:
    """Adds the features of one on-demand view to those that were read.

    Attributes
    ----------
    given
        Join keys of what it is computed of, and its fields of the request.
    """

    def __init__(self, plan: Plan, view: OnDemandViewSpec, functions: OnDemandFunctions) -> None:
        self._features = [(field.name, f"{view.name}__{field.name}") for field in view.features]
        self._inputs = [(ref.feature, ref.full_name) for ref in view.inputs]
        fields = [key for ref in view.inputs for key in plan.view(ref.view).join_keys] + [*view.request]
        self.given = list(dict.fromkeys(field.name for field in fields))
        dtypes: dict[str, ValueType] = {field.name: field.dtype for field in fields}
        for ref in view.inputs:
            (dtype,) = (f.dtype for f in plan.view(ref.view).features if f.name == ref.feature)
            dtypes[ref.feature] = dtypes[ref.full_name] = dtype
        self._view = OnDemandView(view, dtypes, functions.function(view))

    def add(
        self,
        given: Mapping[str, list[Any]],
        columns: dict[str, list[Any]],
        statuses: dict[str, list[FieldStatus]],
    ) -> None:
        inputs = {name: given[name] for name in self.given}
        for short, full in self._inputs:
            inputs[short] = inputs[full] = columns[full]
        rows = len(next(iter(inputs.values())))
        computed = self._view.compute(inputs, rows)
        for name, full in self._features:
            columns[full] = computed[name]
            statuses[full] = [
                FieldStatus.NULL_VALUE if value is None else FieldStatus.PRESENT for value in computed[name]
            ]
