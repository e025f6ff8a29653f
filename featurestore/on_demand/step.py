"""On-demand features of a response, computed from the stored features that were read and the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.on_demand.view import OnDemandView
from headrace.schemas.feature_types import ValueType

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import OnDemandViewSpec
    from headrace.schemas.plan import Plan


class OnDemandStep:
    """Adds the features of one on-demand view to the stored features of a response.

    Parameters
    ----------
    plan
        The plan, which has types and join keys of the stored features.
    view
        The view to compute.
    functions
        The functions of the repository.

    Attributes
    ----------
    inputs
        Names of the join keys and request fields that the function takes.

    Raises
    ------
    HeadraceError
        When no repository was named.
    DefinitionError
        When the function of the view cannot be loaded, or is another one than that of the plan.
    """

    def __init__(self, plan: Plan, view: OnDemandViewSpec, functions: OnDemandFunctions) -> None:
        self._outputs = [(field.name, f"{view.name}__{field.name}") for field in view.features]
        self._stored = [(ref.feature, ref.full_name) for ref in view.inputs]
        fields = [key for ref in view.inputs for key in plan.view(ref.view).join_keys] + [*view.request]
        self.inputs = list(dict.fromkeys(field.name for field in fields))
        dtypes: dict[str, ValueType] = {field.name: field.dtype for field in fields}
        for ref in view.inputs:
            dtypes[ref.feature] = dtypes[ref.full_name] = plan.dtype_of(ref)
        self._view = OnDemandView(view, dtypes, functions.function(view))

    def add(
        self,
        inputs: Mapping[str, list[Any]],
        columns: dict[str, list[Any]],
        statuses: dict[str, list[FieldStatus]],
    ) -> None:
        """Compute the features of the view and add them to columns and statuses, by full name.

        Parameters
        ----------
        inputs
            Columns of join keys and request fields, one value per row.
        columns
            Columns of the stored features, by full name.

        Raises
        ------
        DefinitionError
            When the function fails, or its output is not what the view declares.
        """
        arguments = {name: inputs[name] for name in self.inputs}
        for short, full in self._stored:
            arguments[short] = arguments[full] = columns[full]
        rows = len(next(iter(arguments.values())))
        computed = self._view.compute(arguments, rows)
        for name, full in self._outputs:
            columns[full] = computed[name]
            statuses[full] = [
                FieldStatus.NULL_VALUE if value is None else FieldStatus.PRESENT for value in computed[name]
            ]
