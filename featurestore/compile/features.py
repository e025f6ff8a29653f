"""A Feast repository to the feature parts of a plan.

The conventions stand where they are compiled: sources in `headrace.featurestore.compile.sources`, stream
feature views in `headrace.featurestore.compile.stream_views`. Everything else is plain Feast.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from headrace.featurestore.compile.batch_views import compile_batch_view
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.descriptions import compile_descriptions
from headrace.featurestore.compile.entities import JoinKeys
from headrace.featurestore.compile.event_source import read_sources
from headrace.featurestore.compile.expectations import compile_view_expectations
from headrace.featurestore.compile.feature_parts import FeatureParts
from headrace.featurestore.compile.on_demand_views import compile_on_demand_view
from headrace.featurestore.compile.services import compile_service
from headrace.featurestore.compile.sources import compile_source
from headrace.featurestore.compile.stream_views import compile_stream_view
from headrace.featurestore.compile.table_checks import check_table
from headrace.featurestore.feast_repo.repository import FeastRepository, read_repository
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureServiceSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
    ViewExpectationsSpec,
)

_KINDS = {
    "StreamFeatureView": "stream feature view",
    "OnDemandFeatureView": "on demand feature view",
    "LabelView": "label view",
    "FeatureService": "feature service",
}

_StoredViews = Mapping[str, StreamViewSpec | BatchViewSpec]


def compile_features(repo_dir: Path) -> FeatureParts:
    """Read and validate a Feast repository. Nothing is registered or written; udfs run on samples.

    Parameters
    ----------
    repo_dir
        Folder with ``feature_store.yaml`` and the Python files of the definitions.

    Raises
    ------
    DefinitionError
        Names the file, the object, what is wrong and what to write instead.
    """
    return _RepositoryCompiler(read_repository(repo_dir)).compile()


class _RepositoryCompiler:
    """Compiles the objects of one repository, kind by kind."""

    def __init__(self, repository: FeastRepository) -> None:
        self._repository, self._contents = repository, repository.contents
        self._refuse_label_views()
        self._check_names(
            [
                *self._contents.stream_feature_views,
                *self._contents.feature_views,
                *self._contents.on_demand_feature_views,
            ]
        )
        self._sources = read_sources(repository)
        self._join_keys = JoinKeys(self._contents.entities)

    def compile(self) -> FeatureParts:
        stream_views, batch_views = self._stream_views(), self._batch_views()
        stored_views: tuple[StreamViewSpec | BatchViewSpec, ...] = (*stream_views, *batch_views)
        stored = {view.name: view for view in stored_views}
        on_demand_views = self._on_demand_views(stored)
        views = stored | {view.name: view for view in on_demand_views}
        return FeatureParts(
            project=self._repository.project,
            services=self._services(views),
            sources=self._compiled_sources(stream_views),
            stream_views=stream_views,
            batch_views=batch_views,
            on_demand_views=on_demand_views,
            expectations=self._expectations(stored),
            descriptions=tuple(compile_descriptions(self._contents, views)),
            repository=self._repository,
        )

    def _stream_views(self) -> tuple[StreamViewSpec, ...]:
        return tuple(
            compile_stream_view(
                self._definition(view), view, self._sources, self._repository.path, self._join_keys
            )
            for view in _by_name(self._contents.stream_feature_views)
        )

    def _batch_views(self) -> tuple[BatchViewSpec, ...]:
        views = [view for view in _by_name(self._contents.feature_views) if view.online]
        compiled = tuple(compile_batch_view(self._definition(view), view, self._join_keys) for view in views)
        for view in views:
            check_table(self._definition(view), view, self._repository.path)
        return compiled

    def _on_demand_views(self, stored: _StoredViews) -> tuple[OnDemandViewSpec, ...]:
        return tuple(
            compile_on_demand_view(self._definition(view), view, stored)
            for view in _by_name(self._contents.on_demand_feature_views)
        )

    def _services(
        self, views: Mapping[str, StreamViewSpec | BatchViewSpec | OnDemandViewSpec]
    ) -> tuple[FeatureServiceSpec, ...]:
        self._check_names(self._contents.feature_services)
        return tuple(
            compile_service(self._definition(service), service, views)
            for service in _by_name(self._contents.feature_services)
        )

    def _compiled_sources(self, stream_views: Iterable[StreamViewSpec]) -> tuple[SourceSpec, ...]:
        return tuple(
            compile_source(source, [view for view in stream_views if view.source == name])
            for name, source in sorted(self._sources.items())
        )

    def _expectations(self, stored: _StoredViews) -> tuple[ViewExpectationsSpec, ...]:
        compiled = []
        for view in _by_name([*self._contents.stream_feature_views, *self._contents.feature_views]):
            if view.name in stored:
                features = compile_view_expectations(self._definition(view), stored[view.name], view.tags)
                if features:
                    compiled.append(ViewExpectationsSpec(view=view.name, features=features))
        return tuple(compiled)

    def _definition(self, item: Any) -> Definition:
        kind = _KINDS.get(type(item).__name__, "feature view")
        return Definition(self._repository.file_of(item), f"{kind} '{item.name}'")

    def _refuse_label_views(self) -> None:
        for view in self._contents.label_views:
            raise self._definition(view).error(
                "label views are not executed yet",
                "Compute it in the producer or in the model, and take it out",
            )

    def _check_names(self, items: Iterable[Any]) -> None:
        """Refuse two objects of one name, and versions of views, which are Feast's matter alone."""
        seen: dict[str, Any] = {}
        for item in items:
            definition = self._definition(item)
            if item.name in seen:
                other = self._repository.file_of(seen[item.name])
                raise definition.error(f"there is another of this name in {other}", "Rename one of the two")
            if getattr(item, "version", "latest") != "latest":
                raise definition.error(f"it has version='{item.version}', which is not served", "Take it out")
            seen[item.name] = item


def _by_name(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: item.name)
