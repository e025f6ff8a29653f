"""Feature services to specifications of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    OnDemandViewSpec,
    StreamViewSpec,
)

View = StreamViewSpec | BatchViewSpec | OnDemandViewSpec

Views = Mapping[str, View]


def compile_service(definition: Definition, service: Any, views: Views) -> FeatureServiceSpec:
    """Compile a `FeatureService`: its features, in Feast's order.

    Parameters
    ----------
    definition
        The service, for its errors.
    service
        Feast's object.
    views
        The views that are served, by name.

    Raises
    ------
    DefinitionError
        When the service names something that Headrace does not serve.
    """
    refs = (*_of_projections(definition, service, views), *_of_texts(definition, service, views))
    if not refs:
        raise definition.error("it has no features", "Write features=[...]")
    if len(set(refs)) < len(refs):
        twice = next(ref for ref in refs if refs.count(ref) > 1)
        raise definition.error(f"it has '{twice.view}:{twice.feature}' twice", "Take one out")
    return FeatureServiceSpec(name=service.name, features=refs)


def _of_projections(definition: Definition, service: Any, views: Views) -> Iterator[FeatureRef]:
    """Features of the views that are given as objects."""
    for projection in service.feature_view_projections:
        if projection.join_key_map or projection.name_alias:
            raise definition.error(
                f"it renames view '{projection.name}' or its join keys, which is not served yet",
                "Define a view of its own for it",
            )
        if projection.version_tag is not None:
            raise definition.error(
                f"it pins version {projection.version_tag} of view '{projection.name}'",
                "Take the version out",
            )
        for field in projection.features:
            yield _ref(definition, views, projection.name, field.name)


def _of_texts(definition: Definition, service: Any, views: Views) -> Iterator[FeatureRef]:
    """Features that are given as text, ``view`` or ``view:feature``."""
    for text in service._pending_feature_refs:
        view, _, feature = text.partition(":")
        if "@" in view:
            raise definition.error(f"it pins a version in '{text}'", "Take the version out")
        names = [feature] if feature else [f.name for f in _view(definition, views, view).features]
        for name in names:
            yield _ref(definition, views, view, name)


def _ref(definition: Definition, views: Views, view: str, feature: str) -> FeatureRef:
    known = [f.name for f in _view(definition, views, view).features]
    if feature not in known:
        raise definition.error(f"view '{view}' has no feature '{feature}'", suggestion(feature, known))
    return FeatureRef(view=view, feature=feature)


def _view(definition: Definition, views: Views, name: str) -> View:
    if name not in views:
        raise definition.error(f"view '{name}' is not served online", suggestion(name, views))
    return views[name]
