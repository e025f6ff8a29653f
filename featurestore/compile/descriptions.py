"""Owners, descriptions and tags of Feast objects: kept in the plan for people, read by no process."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from feast.data_source import KafkaSource
from feast.feature_view import DUMMY_ENTITY_NAME

from headrace.featurestore.compile.definition import TAG_PREFIX
from headrace.schemas.plan import DescriptionSpec, ObjectKind


def compile_descriptions(contents: Any, views: Collection[str]) -> Iterator[DescriptionSpec]:
    """Yield owner, description and tags of each object that has any of them, in order of kind and name.

    Parameters
    ----------
    contents
        Feast's `RepoContents`.
    views
        Names of the views that are in the plan.
    """
    entities = [entity for entity in contents.entities if entity.name != DUMMY_ENTITY_NAME]
    sources = [source for source in contents.data_sources if isinstance(source, KafkaSource)]
    streams = [view for view in contents.stream_feature_views if view.name in views]
    batches = [view for view in contents.feature_views if view.name in views]
    on_demand = [view for view in contents.on_demand_feature_views if view.name in views]
    yield from _of_kind("entity", {entity.name: entity for entity in entities})
    yield from _of_kind("source", {source.name: source for source in sources})
    yield from _of_kind("stream feature view", {view.name: view for view in streams})
    yield from _of_kind("feature view", {view.name: view for view in batches})
    yield from _of_kind("on demand feature view", {view.name: view for view in on_demand})
    yield from _of_kind(
        "feature", {f"{v.name}:{f.name}": f for v in (*streams, *batches, *on_demand) for f in v.features}
    )
    yield from _of_kind("feature service", {service.name: service for service in contents.feature_services})


def _of_kind(kind: ObjectKind, items: Mapping[str, Any]) -> Iterator[DescriptionSpec]:
    for name, item in sorted(items.items()):
        description = DescriptionSpec(
            kind=kind,
            name=name,
            owner=getattr(item, "owner", "") or "",
            description=item.description or "",
            tags={
                key: value
                for key, value in sorted((item.tags or {}).items())
                if not key.startswith(TAG_PREFIX)
            },
        )
        if description.owner or description.description or description.tags:
            yield description
