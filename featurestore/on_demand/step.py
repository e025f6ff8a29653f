"""On-demand features of a response, computed from the stored features that were read and the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.on_demand.view import OnDemandView
from headrace.schemas.feature_types import ValueType

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import FeatureRef, OnDemandViewSpec
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
    name
        The name that the view is read by; its own when empty.

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

    def __init__(
        self, plan: Plan, view: OnDemandViewSpec, functions: OnDemandFunctions, name: str = ""
    ) -> None:
        self._outputs = [(field.name, f"{name or view.name}__{field.name}") for field in view.features]
        self._stored = list(_argument_names(view.inputs))
        fields = [*plan.request_keys(view.inputs), *view.request]
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
        for argument, full in self._stored:
            arguments[argument] = columns[full]
        rows = len(next(iter(arguments.values())))
        computed = self._view.compute(arguments, rows)
        for name, full in self._outputs:
            columns[full] = computed[name]
            statuses[full] = [
                FieldStatus.NULL_VALUE if value is None else FieldStatus.PRESENT for value in computed[name]
            ]


def _argument_names(inputs: Sequence[FeatureRef]) -> Iterator[tuple[str, str]]:
    """Yield the names that a function has its inputs under, each with the full name of the input.

    Inputs of one name have only their full names.
    """
    short = [ref.feature for ref in inputs]
    for ref in inputs:
        if short.count(ref.feature) == 1:
            yield ref.feature, ref.full_name
        yield ref.full_name, ref.full_name
