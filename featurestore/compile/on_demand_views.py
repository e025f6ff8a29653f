"""On-demand feature views to specifications of the plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.featurestore.compile.definition import Definition, list_length
from headrace.featurestore.compile.services import StoredView, Views, stored_ref
from headrace.featurestore.on_demand.functions import function_digest
from headrace.featurestore.on_demand.values import COMPUTED_TYPES
from headrace.schemas.feature_specs import FeatureRef, FieldSpec, OnDemandViewSpec

_MODES = ("pandas", "python")


def compile_on_demand_view(definition: Definition, view: Any, views: Views[StoredView]) -> OnDemandViewSpec:
    """Compile an `OnDemandFeatureView`.

    Parameters
    ----------
    definition
        The view, for its errors.
    view
        Feast's object.
    views
        The views that are stored online.

    Raises
    ------
    CannotRun
        When Feast computes the view, and Headrace does not.
    DefinitionError
        When nobody can.
    """
    _check_view(definition, view)
    inputs = tuple(_inputs(definition, view, views))
    with definition.leaving_out():  # of types, which functions have more of in Feast
        request = tuple(dict.fromkeys(_request(definition, view)))
        features = _features(definition, view)
    return OnDemandViewSpec(
        name=view.name,
        mode=view.mode,
        singleton=view.singleton,
        inputs=inputs,
        request=request,
        features=features,
        file=definition.file,
        definition=function_digest(view),
    )


def _check_view(definition: Definition, view: Any) -> None:
    definition.tags(view.tags or {}, known=())
    if view.mode not in _MODES:
        raise definition.cannot_run(f"its mode is '{view.mode}'", f"Use one of {', '.join(_MODES)}")
    if view.aggregations or view.udf is None:
        raise definition.cannot_run("it has no function of its own", "Give it a function of its inputs")
    if view.write_to_online_store:
        raise definition.cannot_run(
            "it has write_to_online_store=True", "Take that out: it is computed when it is asked for"
        )
    if not view.features:
        raise definition.error("it has no features", "Write schema=[Field(...), ...]")


def _features(definition: Definition, view: Any) -> tuple[FieldSpec, ...]:
    features = tuple(
        FieldSpec(
            name=field.name,
            dtype=definition.value_type(field.name, field.dtype),
            length=list_length(definition, field),
        )
        for field in view.features
    )
    for field in features:
        if field.dtype not in COMPUTED_TYPES:
            raise definition.cannot_run(
                f"its feature '{field.name}' is {field.dtype}, which functions cannot compute yet",
                f"Use one of {', '.join(COMPUTED_TYPES)}",
            )
    return features


def _inputs(definition: Definition, view: Any, views: Views[StoredView]) -> Iterator[FeatureRef]:
    for projection in view.source_feature_view_projections.values():
        source = views.get(definition, projection.name)
        if projection.name_alias:
            raise definition.cannot_run(
                f"it reads view '{projection.name}' as '{projection.name_alias}', which Feast cannot read",
                "Take with_name(...) out of its sources",
            )
        for feature in projection.features:
            yield stored_ref(definition, projection, source, feature.name)


def _request(definition: Definition, view: Any) -> Iterator[FieldSpec]:
    for source in view.source_request_sources.values():
        for field in source.schema:
            dtype = definition.part(f"source '{source.name}'").value_type(field.name, field.dtype)
            yield FieldSpec(name=field.name, dtype=dtype)
