"""On-demand features in the audit: computed anew, from inputs that were recomputed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.featurestore.audit.bisection import bisected
from headrace.featurestore.audit.comparison import Comparison, Outcome
from headrace.featurestore.logged_values import from_logged, to_logged
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.on_demand.step import OnDemandStep
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FeatureRef, OnDemandViewSpec
from headrace.schemas.logged_names import LoggedName, logged_value
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction

_REL = 1e-12  # a function of whole columns may round in the last place as that of one row does not

Inputs = Mapping[str, Comparison]  # of one prediction, by full name


@dataclass(frozen=True)
class OnDemandResult:
    """The outcome for one on-demand feature of the prediction of this number."""

    number: int
    feature: str
    outcome: Outcome
    served: Any
    recomputed: Any


class OnDemandAudit:
    """Recomputes the on-demand views behind some features.

    Parameters
    ----------
    plan, refs
        The plan, and the features that are audited.
    functions
        Where the functions are found.

    Raises
    ------
    DefinitionError
        When a function is not the one of the plan.
    """

    def __init__(self, plan: Plan, refs: Sequence[FeatureRef], functions: OnDemandFunctions) -> None:
        self._plan, self._refs = plan, refs
        self._views = plan.on_demand_named(refs)
        self._steps = {name: OnDemandStep(plan, view, functions, name) for view, name in self._views}
        self._inputs: dict[int, dict[str, Comparison]] = defaultdict(dict)
        self._needed = {ref.full_name for view, _ in self._views for ref in view.inputs}
        self._request = {field.name: field.dtype for view, _ in self._views for field in view.request}

    def add_input(self, number: int, name: str, comparison: Comparison) -> None:
        """Keep the outcome for a stored feature, if an on-demand view takes it."""
        if name in self._needed:
            self._inputs[number][name] = comparison

    def results(self, predictions: Sequence[Prediction]) -> Iterator[OnDemandResult]:
        """Compare all on-demand features of predictions, numbered as they were in `add_input`."""
        for view, name in self._views:
            inputs = {
                number: known
                for number, prediction in enumerate(predictions)
                if (known := self._inputs_of(view, number, prediction)) is not None
            }
            outputs = self._compute(
                view, name, [(predictions[number], known) for number, known in inputs.items()]
            )
            by_number = dict(zip(inputs, outputs, strict=True))
            for number, prediction in enumerate(predictions):
                for ref in self._refs:
                    if (ref.view, ref.view_name) == (view.name, name):
                        names = self._plan.logged_names(ref)
                        served = logged_value(names, prediction.features)
                        outcome, recomputed = _judge(names, served, inputs.get(number), by_number.get(number))
                        yield OnDemandResult(number, ref.full_name, outcome, served, recomputed)

    def _inputs_of(self, view: OnDemandViewSpec, number: int, prediction: Prediction) -> Inputs | None:
        """The inputs of a view; None where one is not known.

        An input that follows from no event, such as that of a table, counts as it was served.
        """
        stream = {stream.name for stream in self._plan.stream_views}
        inputs = {}
        for ref in view.inputs:
            name = ref.full_name
            if ref.view not in stream and name in prediction.features:
                inputs[name] = Comparison(prediction.features[name], "equal")
                continue
            comparison = self._inputs[number].get(name)
            if comparison is None or comparison.outcome == "unchecked":
                return None
            inputs[name] = comparison
        return inputs

    def _compute(
        self, view: OnDemandViewSpec, name: str, rows: Sequence[tuple[Prediction, Inputs]]
    ) -> Iterator[dict[str, Any] | Exception]:
        """For each row the features by full name, or the error that the function raises on it."""
        for _, columns in bisected(len(rows), lambda part: self._call(view, name, rows[part]), HeadraceError):
            if isinstance(columns, Exception):
                yield columns
            else:
                for values in zip(*columns.values(), strict=True):
                    yield dict(zip(columns, values, strict=True))

    def _call(
        self, view: OnDemandViewSpec, name: str, rows: Sequence[tuple[Prediction, Inputs]]
    ) -> dict[str, list[Any]]:
        step = self._steps[name]
        columns: dict[str, list[Any]] = {}
        for ref in view.inputs:
            dtype = self._plan.dtype_of(ref)
            columns[ref.full_name] = [from_logged(dtype, inputs[ref.full_name].value) for _, inputs in rows]
        given = {field: [self._given(field, prediction) for prediction, _ in rows] for field in step.inputs}
        step.add(given, columns, {})
        refs = [ref for ref in self._refs if (ref.view, ref.view_name) == (view.name, name)]
        return {
            each.name: [to_logged(each.value(value)) for value in columns[ref.full_name]]
            for ref in refs
            for each in self._plan.logged_names(ref)
        }

    def _given(self, name: str, prediction: Prediction) -> Any:
        """The value of a join key or of a field of the request."""
        value = prediction.entities.get(name, prediction.request.get(name))
        return from_logged(self._request[name], value) if name in self._request else value


def _judge(
    names: Sequence[LoggedName], served: Any, inputs: Inputs | None, output: dict[str, Any] | Exception | None
) -> tuple[Outcome, Any]:
    """The outcome for a feature, and the recomputed value or the text of the error."""
    if inputs is None or output is None:
        return "unchecked", None
    if isinstance(output, Exception):
        return "different", str(output)
    recomputed = logged_value(names, output)
    if _is_equal(served, recomputed):
        return "equal", recomputed
    is_missing = any(comparison.outcome == "missing" for comparison in inputs.values())
    return ("missing" if is_missing else "different"), recomputed


def _is_equal(served: Any, recomputed: Any) -> bool:
    if isinstance(served, list) and isinstance(recomputed, list):
        return len(served) == len(recomputed) and all(map(_is_equal, served, recomputed))
    if isinstance(served, float) and isinstance(recomputed, float):
        return math.isclose(served, recomputed, rel_tol=_REL)
    return bool(served == recomputed)
