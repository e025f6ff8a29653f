"""The features that learners can read: what services hold, with types, request fields and join keys."""

from __future__ import annotations

import json
from typing import Any, Protocol

from headrace.learners.definitions import Learner
from headrace.learners.models.input_kinds import Declarations, declared_type, event_type
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FieldSpec,
    SourceSpec,
    StreamViewSpec,
)
from headrace.schemas.feature_types import ValueType

_AVRO: dict[str, ValueType] = {
    "string": "String",
    "enum": "String",
    "boolean": "Bool",
    "int": "Int64",
    "long": "Int64",
}


class FeatureParts(Declarations, Protocol):
    """The parts of a compiled feature repository that are read here."""

    @property
    def left_out(self) -> tuple[DefinitionError, ...]: ...


class Features:
    """Answers what a learner reads.

    Parameters
    ----------
    parts
        The compiled feature repository.

    Attributes
    ----------
    services, sources
        By name.
    """

    def __init__(self, parts: FeatureParts) -> None:
        views: tuple[StreamViewSpec | BatchViewSpec, ...] = (*parts.stream_views, *parts.batch_views)
        self._parts = parts
        self.services = {service.name: service for service in parts.services}
        self.sources = {source.name: source for source in parts.sources}
        self._views = {view.name: view for view in views}
        self._left_out = {error.name: error for error in parts.left_out}
        self._on_demand = {view.name: view for view in parts.on_demand_views}

    def reason(self, kind: str, name: str) -> DefinitionError | None:
        """Return why an object of the repository is not in the plan; None when there is no such object."""
        return self._left_out.get(f"{kind} '{name}'")

    def served(self, learner: Learner) -> dict[str, FieldSpec]:
        """Return the features of its service by ``view__feature``."""
        views = (*self._views.values(), *self._on_demand.values())
        fields = {(view.name, feature.name): feature for view in views for feature in view.features}
        return {ref.full_name: fields[ref.view, ref.feature] for ref in self.refs(learner)}

    def on_demand_fields(self, learner: Learner) -> list[tuple[str, FieldSpec]]:
        """Return the request fields that on-demand views of its service take, each with the view's name."""
        views = dict.fromkeys(ref.view for ref in self.refs(learner) if ref.view in self._on_demand)
        return [(view, field) for view in views for field in self._on_demand[view].request]

    def stored(self, learner: Learner) -> list[FeatureRef]:
        """Return the stored features of its service, or behind it."""
        inputs = {name: view.inputs for name, view in self._on_demand.items()}
        return [stored for ref in self.refs(learner) for stored in inputs.get(ref.view, (ref,))]

    def join_keys(self, learner: Learner) -> list[tuple[str, FieldSpec]]:
        """Return the join keys behind its service as requests have them, each with the view's name."""
        stored = {ref.projection: ref for ref in self.stored(learner)}.values()
        return [
            (ref.view_name, key)
            for ref in stored
            for key in ref.request_keys(self._views[ref.view].join_keys)
        ]

    def request_type(self, name: str) -> ValueType:
        """Return the type of a request field: of the join key, on-demand field or event field of its name."""
        if (dtype := declared_type(self._parts, name)) is not None:
            return dtype
        declared = event_type(self._parts, name)
        return "Float64" if declared is None else _avro_type(declared)

    def refs(self, learner: Learner) -> tuple[FeatureRef, ...]:
        """Return the features of its service."""
        service = self.services.get(learner.service or "")
        return service.features if service else ()


def avro_fields(source: SourceSpec) -> dict[str, ValueType]:
    """Return the fields of a source's events with their types."""
    return {field["name"]: _avro_type(field["type"]) for field in json.loads(source.reader_schema)["fields"]}


def _avro_type(declared: Any) -> ValueType:
    if isinstance(declared, list):  # a union: its first branch that is not null
        declared = next((branch for branch in declared if branch != "null"), "string")
    if isinstance(declared, dict):
        declared = declared["type"]
    return _AVRO.get(declared, "Float64")
