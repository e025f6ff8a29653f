"""Feature services to specifications of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    OnDemandViewSpec,
    StreamViewSpec,
)

StoredView = StreamViewSpec | BatchViewSpec
View = StoredView | OnDemandViewSpec


ViewT = TypeVar("ViewT", bound=View)


@dataclass(frozen=True)
class Views(Generic[ViewT]):
    """The views of a repository.

    Attributes
    ----------
    served
        Those of the plan, by name.
    left_out
        Reasons of those that are not in the plan, by name.
    """

    served: Mapping[str, ViewT]
    left_out: Mapping[str, DefinitionError]

    def get(self, asking: Definition, name: str) -> ViewT:
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
            raise asking.without(reason, f"it reads {reason.name}, which does not run")
        if name not in self.served:
            raise asking.not_defined(f"there is no view '{name}'", suggestion(name, self.served))
        return self.served[name]


def compile_service(definition: Definition, service: Any, views: Views[View]) -> FeatureServiceSpec:
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
        raise definition.cannot_run("it has no features", "Write features=[...]")
    if len(set(refs)) < len(refs):
        twice = next(ref for ref in refs if refs.count(ref) > 1)
        raise definition.cannot_run(f"it has '{twice.view_name}:{twice.feature}' twice", "Take one out")
    return FeatureServiceSpec(name=service.name, features=refs)


def stored_ref(definition: Definition, projection: Any, view: StoredView, feature: str) -> FeatureRef:
    """Return a feature of a stored view by Feast's projection of the view.

    Raises
    ------
    CannotRun
        When the projection maps what is no join key of the view, or two join keys to one column.
    """
    keys = [key.name for key in view.join_keys]
    for key in projection.join_key_map:
        if key not in keys:
            raise definition.cannot_run(
                f"it maps '{key}', which is no join key of view '{view.name}'", suggestion(key, keys)
            )
    columns = [projection.join_key_map.get(key, key) for key in keys]
    if len(set(columns)) < len(columns):
        raise definition.cannot_run(
            f"two join keys of view '{view.name}' are one column of it ({', '.join(columns)})",
            "Map each to a column of its own",
        )
    renamed = tuple(pair for pair in zip(keys, columns, strict=True) if pair[0] != pair[1])
    return FeatureRef(view=view.name, feature=feature, alias=_alias(projection), join_key_map=renamed)


def _alias(projection: Any) -> str:
    return "" if projection.name_alias in (None, projection.name) else str(projection.name_alias)


def _of_projections(definition: Definition, service: Any, views: Views[View]) -> Iterator[FeatureRef]:
    """Features of the views that are given as objects."""
    for projection in service.feature_view_projections:
        if projection.version_tag is not None:
            raise definition.cannot_run(
                f"it pins version {projection.version_tag} of view '{projection.name}'",
                "Take the version out",
            )
        view = views.get(definition, projection.name)  # also where what it leaves out is not known
        for field in projection.features:
            ref = _ref(definition, views, projection.name, field.name)
            if isinstance(view, OnDemandViewSpec):
                yield FeatureRef(view=ref.view, feature=ref.feature, alias=_alias(projection))
            else:
                yield stored_ref(definition, projection, view, field.name)


def _of_texts(definition: Definition, service: Any, views: Views[View]) -> Iterator[FeatureRef]:
    """Features that are given as text, ``view`` or ``view:feature``; ``view@latest`` is the view."""
    for text in service._pending_feature_refs:
        versioned, _, feature = text.partition(":")
        view, _, version = versioned.partition("@")
        if version.lower() not in ("", "latest"):
            raise definition.cannot_run(f"it pins a version in '{text}'", "Take the version out")
        names = [feature] if feature else [f.name for f in views.get(definition, view).features]
        for name in names:
            yield _ref(definition, views, view, name)


def _ref(definition: Definition, views: Views[View], view: str, feature: str) -> FeatureRef:
    known = [f.name for f in views.get(definition, view).features]
    if feature not in known:
        raise definition.error(f"view '{view}' has no feature '{feature}'", suggestion(feature, known))
    return FeatureRef(view=view, feature=feature)
