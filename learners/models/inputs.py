"""The inputs of a learner's model, the same for learning as for serving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from operator import itemgetter
from typing import Final

from headrace.learners.models.input_kinds import Kind, kind_of, request_kind
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction, Value
from headrace.schemas.router_specs import LearnerSpec

Declared = tuple[str, bool, Kind | None]  # name, whether it is a served feature, kind if that is declared
GREATEST: Final = 3.4028234663852886e38  # of a float of 32 bits; its fourth power is finite in 64


class Inputs:
    """Selects the served features and request fields that a learner reads.

    Parameters
    ----------
    plan
        Has the learner's feature service.
    learner
        Whose inputs.

    Attributes
    ----------
    kinds
        By name, the kinds of request fields that nothing declares, as far as they are bound; see `bound`.
    reads_features
        Whether any input is a served feature.
    """

    def __init__(self, plan: Plan, learner: LearnerSpec) -> None:
        self.kinds: Mapping[str, Kind] = {}
        served = plan.service(learner.service).features if learner.service is not None else ()
        inputs = [(each.name, True, kind_of(each.dtype)) for ref in served for each in plan.logged_names(ref)]
        requested = [(name, False, request_kind(plan, name)) for name in learner.request]
        self._declare(sorted([*inputs, *requested], key=itemgetter(0, 1)))

    @classmethod
    def of(cls, declared: Iterable[Declared]) -> Inputs:
        """Return the inputs that were `declared` elsewhere: of a model of another definition."""
        inputs = cls.__new__(cls)
        inputs.kinds = {}
        inputs._declare([(name, served, kind) for name, served, kind in declared])
        return inputs

    def _declare(self, declared: list[Declared]) -> None:
        self._declared = self._inputs = declared
        self.reads_features = any(served for _, served, _ in declared)

    @property
    def declared(self) -> tuple[Declared, ...]:
        """Each input, sorted by name; request fields without the kinds that they are bound to."""
        return tuple(self._declared)

    def bound(self, kinds: Mapping[str, Kind]) -> Inputs:
        """Return the inputs with these kinds, by name, for the request fields that nothing declares.

        They are those that the model has learned first: a model that has learned a field as numbers, and is
        given a text, or the other way round, may raise for good.
        """
        bound = copy(self)
        bound.kinds = kinds
        bound._inputs = [
            (name, served, kind or (None if served else kinds.get(name)))
            for name, served, kind in self._declared
        ]
        return bound

    def unbound(self, x: Mapping[str, Value]) -> dict[str, Kind]:
        """Return the kinds, by name, of values of a model's dict that are neither declared nor bound."""
        return {
            name: "text" if isinstance(x[name], str) else "number"
            for name, served, kind in self._inputs
            if kind is None and not served and name in x
        }

    def left_out(self, request: Mapping[str, Value], x: Mapping[str, Value]) -> list[str]:
        """Return the request fields of a bound kind that a model's dict lacks: their value is another."""
        return [name for name in self.kinds if name not in x and request.get(name) is not None]

    def select(
        self, features: Mapping[str, Value], request: Mapping[str, Value], entities: Mapping[str, Value]
    ) -> dict[str, Value]:
        """Return the model's dict: sorted by name, without nulls and values that no model survives.

        A single infinity in a running mean, or a number whose square is none, makes a model answer NaN for
        good; a text among the numbers of a feature makes a tree raise for good. Numbers that are not finite,
        or beyond `GREATEST` either way, and texts and numbers where the other is declared, are left out as
        nulls are. What nothing declares may be either until it is `bound`.

        Parameters
        ----------
        features
            Served features, under ``view__feature``; lists by element, under ``view__feature__0`` and so on.
        request, entities
            Request fields and join keys of the prediction; a request field comes before a join key.
        """
        x: dict[str, Value] = {}
        for name, served, kind in self._inputs:
            value = features.get(name) if served else request.get(name, entities.get(name))
            if isinstance(value, str):
                if kind != "number":
                    x[name] = value
            elif value is not None and kind != "text" and -GREATEST <= value <= GREATEST:
                x[name] = value
        return x

    def of_prediction(self, prediction: Prediction) -> dict[str, Value]:
        """Return the model's dict for a logged prediction."""
        return self.select(prediction.features, prediction.request, prediction.entities)
