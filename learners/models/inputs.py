"""What a learner's model sees of a prediction: the same for learning as for serving."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction, Value
from headrace.schemas.router_specs import LearnerSpec


class Inputs:
    """The served features and request features of one learner, in sorted order of their names."""

    def __init__(self, plan: Plan, learner: LearnerSpec) -> None:
        served = plan.service(learner.service).features if learner.service is not None else ()
        names = [(ref.full_name, True) for ref in served] + [(name, False) for name in learner.request]
        self._names = sorted(names)

    def of(
        self, features: Mapping[str, Value], request: Mapping[str, Value], entities: Mapping[str, Value]
    ) -> dict[str, Value]:
        """The model's dict: sorted, nulls left out. A request feature may also be an entity."""
        x: dict[str, Value] = {}
        for name, served in self._names:
            value = features.get(name) if served else request.get(name, entities.get(name))
            if value is not None:
                x[name] = value
        return x

    def of_prediction(self, prediction: Prediction) -> dict[str, Value]:
        return self.of(prediction.features, prediction.request, prediction.entities)
