"""On-demand features in the audit: computed anew, from inputs that were recomputed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.featurestore.audit.comparison import Input
from headrace.featurestore.logged_values import from_logged, to_logged
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.on_demand.step import OnDemandStep
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import FeatureRef, OnDemandViewSpec
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction

_REL = 1e-12  # a function of whole columns may round in the last place as that of one row does not


@dataclass(frozen=True)
class Verdict:
    """On one on-demand feature of one prediction."""

    number: int
    name: str
    kind: str
    served: Any
    recomputed: Any


class OnDemandAudit:
    """The on-demand views behind some features.

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
        self._views = plan.on_demand_of(refs)
        self._steps = {view.name: OnDemandStep(plan, view, functions) for view in self._views}
        self._inputs: dict[int, dict[str, Input]] = defaultdict(dict)
        self._taken = {ref.full_name for view in self._views for ref in view.inputs}
        self._request = {field.name: field.dtype for view in self._views for field in view.request}

    def note(self, number: int, name: str, found: Input) -> None:
        """What was found of a stored feature of a prediction."""
        if name in self._taken:
            self._inputs[number][name] = found

    def verdicts(self, predictions: Sequence[Prediction]) -> Iterator[Verdict]:
        """On all features; predictions have the numbers that were noted."""
        for view in self._views:
            known = {
                number: inputs
                for number, one in enumerate(predictions)
                if (inputs := self._inputs_of(view, number, one)) is not None
            }
            outcome = self._compute(view, {n: (predictions[n], inputs) for n, inputs in known.items()})
            for number, one in enumerate(predictions):
                yield from self._judge(view, number, one, known.get(number), outcome.get(number))

    def _inputs_of(self, view: OnDemandViewSpec, number: int, one: Prediction) -> dict[str, Input] | None:
        """None where one is not known. What follows from no event, such as a table, is as it was served."""
        stream = {stream.name for stream in self._plan.stream_views}
        found = {}
        for ref in view.inputs:
            name = ref.full_name
            served = ref.view not in stream and name in one.features
            known = Input(one.features[name], "equal") if served else self._inputs[number].get(name)
            if known is None or known.kind == "unchecked":
                return None
            found[name] = known
        return found

    def _compute(
        self, view: OnDemandViewSpec, asked: Mapping[int, tuple[Prediction, Mapping[str, Input]]]
    ) -> dict[int, dict[str, Any] | DefinitionError]:
        """By number: the features, or what the function raises on this row."""
        found: dict[int, dict[str, Any] | DefinitionError] = {}
        waiting = [[*asked]] if asked else []
        while waiting:
            numbers = waiting.pop()
            try:
                columns = self._call(view, [asked[number] for number in numbers])
            except DefinitionError as error:
                if len(numbers) == 1:
                    found[numbers[0]] = error
                else:
                    middle = len(numbers) // 2
                    waiting += [numbers[:middle], numbers[middle:]]
                continue
            rows = zip(*columns.values(), strict=True)
            found |= {n: dict(zip(columns, row, strict=True)) for n, row in zip(numbers, rows, strict=True)}
        return found

    def _call(
        self, view: OnDemandViewSpec, rows: Sequence[tuple[Prediction, Mapping[str, Input]]]
    ) -> dict[str, list[Any]]:
        step = self._steps[view.name]
        columns: dict[str, list[Any]] = {}
        for ref in view.inputs:
            dtype = self._plan.dtype_of(ref)
            columns[ref.full_name] = [from_logged(dtype, inputs[ref.full_name].value) for _, inputs in rows]
        given = {name: [self._given(name, one) for one, _ in rows] for name in step.given}
        step.add(given, columns, {})
        names = [f"{view.name}__{field.name}" for field in view.features]
        return {name: [to_logged(value) for value in columns[name]] for name in names}

    def _given(self, name: str, one: Prediction) -> Any:
        value = one.entities.get(name, one.request.get(name))
        return from_logged(self._request[name], value) if name in self._request else value

    def _judge(
        self,
        view: OnDemandViewSpec,
        number: int,
        one: Prediction,
        inputs: Mapping[str, Input] | None,
        outcome: dict[str, Any] | DefinitionError | None,
    ) -> Iterator[Verdict]:
        for ref in self._refs:
            if ref.view != view.name:
                continue
            name = ref.full_name
            got = one.features.get(name)
            if inputs is None or outcome is None:
                yield Verdict(number, name, "unchecked", got, None)
            elif isinstance(outcome, DefinitionError):
                yield Verdict(number, name, "different", got, str(outcome))
            else:
                absent = any(each.kind == "missing" for each in inputs.values())
                wrong = "missing" if absent else "different"
                kind = "equal" if _same(got, outcome[name]) else wrong
                yield Verdict(number, name, kind, got, outcome[name])


def _same(got: Any, want: Any) -> bool:
    if isinstance(got, float) and isinstance(want, float):
        return math.isclose(got, want, rel_tol=_REL)
    return bool(got == want)
