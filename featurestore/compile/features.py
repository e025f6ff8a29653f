"""A Feast repository to the feature parts of a plan.

The conventions are written down where they are compiled: sources in `compile_sources`, stream feature
views in `compile_stream_views`. Everything else is plain Feast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.stream_feature_view import StreamFeatureView

from headrace.featurestore.compile.batch_views import compile_batch_view
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.descriptions import compile_descriptions
from headrace.featurestore.compile.entities import JoinKeys
from headrace.featurestore.compile.expectations import compile_view_expectations
from headrace.featurestore.compile.on_demand_views import compile_on_demand_view
from headrace.featurestore.compile.services import compile_service
from headrace.featurestore.compile.sources import EventSource, compile_source, read_sources
from headrace.featurestore.compile.stream_views import StreamViewCompiler
from headrace.featurestore.feast_repo.repository import FeastRepository, read_repository
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureServiceSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
    ViewExpectationsSpec,
)
from headrace.schemas.plan import DescriptionSpec, Plan
from headrace.schemas.router_specs import LearnerSpec, RouterSpec


@dataclass(frozen=True)
class FeatureParts:
    """What a Feast repository contributes to a plan, and the repository as Feast read it."""

    project: str
    sources: tuple[SourceSpec, ...]
    stream_views: tuple[StreamViewSpec, ...]
    batch_views: tuple[BatchViewSpec, ...]
    on_demand_views: tuple[OnDemandViewSpec, ...]
    services: tuple[FeatureServiceSpec, ...]
    expectations: tuple[ViewExpectationsSpec, ...]
    descriptions: tuple[DescriptionSpec, ...]
    repository: FeastRepository

    def plan(self, learners: Iterable[LearnerSpec] = (), routers: Iterable[RouterSpec] = ()) -> Plan:
        """The plan, with learners and routers."""
        return Plan(
            project=self.project,
            sources=self.sources,
            stream_views=self.stream_views,
            batch_views=self.batch_views,
            on_demand_views=self.on_demand_views,
            services=self.services,
            learners=tuple(learners),
            routers=tuple(routers),
            expectations=self.expectations,
            descriptions=self.descriptions,
        )

    def file_of(self, kind: str, name: str) -> str:
        """The file that defines an object; the repository's folder when none does."""
        contents = self.repository.contents
        named: dict[str, Iterable[Any]] = {
            "source": contents.data_sources,
            "stream feature view": contents.stream_feature_views,
            "feature view": contents.feature_views,
            "on demand feature view": contents.on_demand_feature_views,
            "feature service": contents.feature_services,
        }
        found = [item for item in named.get(kind, ()) if item.name == name]
        return self.repository.file_of(*found)


def compile_features(repo_dir: Path) -> FeatureParts:
    """Read and validate a Feast repository. Nothing is registered or written; udfs run on samples.

    Parameters
    ----------
    repo_dir
        Folder with ``feature_store.yaml`` and the Python files of the definitions.

    Returns
    -------
    FeatureParts
        Everything in order of its name, so that the plan does not depend on file names.

    Raises
    ------
    DefinitionError
        Names the file, the object, what is wrong and what to write instead.
    """
    repository = read_repository(repo_dir)
    contents = repository.contents
    _refuse(repository, contents.label_views, "label view")
    _check_names(
        repository,
        [*contents.stream_feature_views, *contents.feature_views, *contents.on_demand_feature_views],
    )
    sources = read_sources(repository)
    join_keys = JoinKeys(contents.entities)
    stream_views = [
        _compile_stream_view(repository, view, sources, join_keys)
        for view in _by_name(contents.stream_feature_views)
    ]
    batch_views = [
        compile_batch_view(_definition(repository, view), view, join_keys)
        for view in _by_name(contents.feature_views)
        if view.online
    ]
    online: list[StreamViewSpec | BatchViewSpec] = [*stream_views, *batch_views]
    stored = {view.name: view for view in online}
    on_demand_views = [
        compile_on_demand_view(_definition(repository, view, "on demand feature view"), view, stored)
        for view in _by_name(contents.on_demand_feature_views)
    ]
    views = stored | {view.name: view for view in on_demand_views}
    _check_names(repository, contents.feature_services, "feature service")
    return FeatureParts(
        project=repository.project,
        sources=tuple(
            compile_source(source, [v for v in stream_views if v.source == name])
            for name, source in sorted(sources.items())
        ),
        stream_views=tuple(stream_views),
        batch_views=tuple(batch_views),
        on_demand_views=tuple(on_demand_views),
        services=tuple(
            compile_service(_definition(repository, service, "feature service"), service, views)
            for service in _by_name(contents.feature_services)
        ),
        expectations=tuple(_expectations(repository, stored)),
        descriptions=tuple(compile_descriptions(contents, views)),
        repository=repository,
    )


def _compile_stream_view(
    repository: FeastRepository, view: Any, sources: dict[str, EventSource], join_keys: JoinKeys
) -> StreamViewSpec:
    definition = _definition(repository, view)
    if view.stream_source.name not in sources:
        kind = type(view.stream_source).__name__
        raise definition.error(f"its source '{view.stream_source.name}' is a {kind}", "Use a KafkaSource")
    if not view.online:
        raise definition.error("it has online=False", "Set online=True or take the view out")
    return StreamViewCompiler(definition, view, sources[view.stream_source.name], repository.path).compile(
        join_keys
    )


def _expectations(
    repository: FeastRepository, views: Mapping[str, StreamViewSpec | BatchViewSpec]
) -> Iterator[ViewExpectationsSpec]:
    contents = repository.contents
    for view in _by_name([*contents.stream_feature_views, *contents.feature_views]):
        if view.name in views:
            definition = _definition(repository, view)
            if specs := compile_view_expectations(definition, views[view.name], view.tags):
                yield ViewExpectationsSpec(view=view.name, features=specs)


def _definition(repository: FeastRepository, item: Any, kind: str = "") -> Definition:
    known = "stream feature view" if isinstance(item, StreamFeatureView) else "feature view"
    return Definition(repository.file_of(item), f"{kind or known} '{item.name}'")


def _by_name(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: item.name)


def _refuse(repository: FeastRepository, items: Iterable[Any], kind: str) -> None:
    for item in items:
        raise _definition(repository, item, kind).error(
            f"{kind}s are not executed yet", "Compute it in the producer or in the model, and take it out"
        )


def _check_names(repository: FeastRepository, items: Iterable[Any], kind: str = "") -> None:
    """No two of one name; versions of a view are Feast's matter alone."""
    seen: dict[str, Any] = {}
    for item in items:
        definition = _definition(repository, item, kind)
        if item.name in seen:
            other = repository.file_of(seen[item.name])
            raise definition.error(f"there is another of this name in {other}", "Rename one of the two")
        if getattr(item, "version", "latest") != "latest":
            raise definition.error(f"it has version='{item.version}', which is not served", "Take it out")
        seen[item.name] = item
