"""Feature services to specifications of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    OnDemandViewSpec,
    StreamViewSpec,
)

View = StreamViewSpec | BatchViewSpec | OnDemandViewSpec


@dataclass(frozen=True)
class Views:
    """The views of a repository.

    Attributes
    ----------
    served
        Those of the plan, by name.
    left_out
        Reasons of those that are not in the plan, by name.
    """

    served: Mapping[str, View]
    left_out: Mapping[str, DefinitionError]

    def get(self, asking: Definition, name: str) -> View:
        """Return a view.

        Raises
        ------
        CannotRun
            When the view is left out of the plan.
        DefinitionError
            When there is no such view.
        """
        if name in self.left_out:
            reason = self.left_out[name]
            raise asking.cannot_run(
                f"it reads {reason.name}, which does not run: {reason.problem}", reason.remedy
            )
        if name not in self.served:
            raise asking.error(f"there is no view '{name}'", suggestion(name, self.served))
        return self.served[name]


def compile_service(definition: Definition, service: Any, views: Views) -> FeatureServiceSpec:
    """Compile a `FeatureService`: its features, in Feast's order.

    Parameters
    ----------
    definition
        The service, for its errors.
    service
        Feast's object.
    views
        The views of the repository.

    Raises
    ------
    CannotRun
        When Headrace does not serve it as it is.
    DefinitionError
        When it names something that does not exist.
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
            raise definition.cannot_run(
                f"it renames view '{projection.name}' or its join keys, which is not served yet",
                "Define a view of its own for it",
            )
        if projection.version_tag is not None:
            raise definition.cannot_run(
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
            raise definition.cannot_run(f"it pins a version in '{text}'", "Take the version out")
        names = [feature] if feature else [f.name for f in views.get(definition, view).features]
        for name in names:
            yield _ref(definition, views, view, name)


def _ref(definition: Definition, views: Views, view: str, feature: str) -> FeatureRef:
    known = [f.name for f in views.get(definition, view).features]
    if feature not in known:
        raise definition.error(f"view '{view}' has no feature '{feature}'", suggestion(feature, known))
    return FeatureRef(view=view, feature=feature)
