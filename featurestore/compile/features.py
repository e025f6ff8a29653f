"""A Feast repository to the feature parts of a plan.

The conventions stand where they are compiled: sources in `headrace.featurestore.compile.sources`, stream
feature views in `headrace.featurestore.compile.stream_views`. Everything else is plain Feast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.version_utils import LATEST_VERSION, normalize_version_string

from headrace.featurestore.compile.batch_views import compile_batch_view
from headrace.featurestore.compile.definition import Definition, object_name
from headrace.featurestore.compile.descriptions import compile_descriptions
from headrace.featurestore.compile.differences import find_differences
from headrace.featurestore.compile.entities import JoinKeys
from headrace.featurestore.compile.event_source import EventSource, read_sources
from headrace.featurestore.compile.expectations import compile_view_expectations
from headrace.featurestore.compile.feature_parts import FeatureParts
from headrace.featurestore.compile.gathering import Gathering
from headrace.featurestore.compile.name_checks import (
    HashFields,
    check_apart,
    check_columns_apart,
    check_inputs_apart,
)
from headrace.featurestore.compile.on_demand_views import compile_on_demand_view
from headrace.featurestore.compile.push_sources import compile_push_source, pushed_views
from headrace.featurestore.compile.services import StoredView, View, Views, compile_service
from headrace.featurestore.compile.sources import compile_source
from headrace.featurestore.compile.stream_views import compile_stream_view
from headrace.featurestore.compile.table_checks import check_table
from headrace.featurestore.feast_repo.repository import FeastRepository, read_repository
from headrace.schemas.errors import raise_all
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureServiceSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
    ViewExpectationsSpec,
)
from headrace.schemas.names import folder_fault
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec


def compile_features(repo_dir: Path) -> FeatureParts:
    """Read and validate a Feast repository. Nothing is registered or written; udfs run on samples.

    Parameters
    ----------
    repo_dir
        Folder with ``feature_store.yaml`` and the Python files of the definitions.

    Raises
    ------
    DefinitionError
        Names the file, the object, what is wrong and what to write instead; of several errors all.
    """
    parts = survey_features(repo_dir)
    raise_all(parts.errors)
    return parts


def survey_features(repo_dir: Path) -> FeatureParts:
    """Read a Feast repository as `compile_features` does; what is wrong is left out, with the error.

    Raises
    ------
    DefinitionError
        When the configuration of the repository cannot be used.
    """
    return _RepositoryCompiler(read_repository(repo_dir, in_part=True)).compile()


class _RepositoryCompiler:
    """Compiles the objects of one repository, kind by kind.

    An object that Headrace does not run is left out, and so is what reads it. So is one with an error.
    """

    def __init__(self, repository: FeastRepository) -> None:
        self._repository, self._contents = repository, repository.contents
        self._sources, self._unread = read_sources(repository)
        self._join_keys = JoinKeys(self._contents.entities)
        self._hash_fields = HashFields()
        self._views, self._services, self._others = Gathering(), Gathering(), Gathering()

    def compile(self) -> FeatureParts:
        self._leave_out()
        contents = self._contents
        stream_views = self._views.each(contents.stream_feature_views, self._stream_view)
        batch_views = self._views.each(contents.feature_views, self._batch_view)
        stored: dict[str, StreamViewSpec | BatchViewSpec] = {view.name: view for view in stream_views}
        stored |= {view.name: view for view in batch_views}
        plan = Plan(project=self._repository.project, stream_views=stream_views, batch_views=batch_views)
        readable = Views(stored, self._views.left_out)
        on_demand_views = self._views.each(
            contents.on_demand_feature_views,
            lambda view: self._on_demand_view(view, readable, plan),
        )
        plan = plan.model_copy(update={"on_demand_views": on_demand_views})
        views = Views({**stored, **{view.name: view for view in on_demand_views}}, self._views.left_out)
        services = self._services.each(
            contents.feature_services,
            lambda service: self._service(service, views, plan),
        )
        sources = self._others.each(
            self._sources.values(),
            lambda source: self._source(source, stream_views),
        )
        pushed = pushed_views(contents.feature_views, {view.name for view in batch_views})
        push_sources = self._others.each(
            [views[0].stream_source for views in pushed.values()],
            lambda source: self._push_source(source, pushed[source.name]),
        )
        expected = [
            view for view in contents.stream_feature_views + contents.feature_views if view.name in stored
        ]
        expectations = self._others.each(expected, lambda view: self._expectations(stored[view.name], view))
        gatherings = (self._views, self._services, self._others)
        left_out = [*self._repository.errors, *self._unread.values()]
        left_out += [error for each in gatherings for error in each.left_out.values()]
        return FeatureParts(
            project=self._repository.project,
            services=services,
            sources=sources,
            stream_views=stream_views,
            batch_views=batch_views,
            on_demand_views=on_demand_views,
            expectations=tuple(each for each in expectations if each.features),
            descriptions=tuple(compile_descriptions(contents, views.served)),
            repository=self._repository,
            left_out=tuple(left_out),
            differences=find_differences(self._repository, on_demand_views),
            push_sources=push_sources,
        )

    def _leave_out(self) -> None:
        """Note what need not be compiled to be known as left out."""
        contents = self._contents
        views = [*contents.stream_feature_views, *contents.feature_views, *contents.on_demand_feature_views]
        self._check_names(self._views, [*views, *contents.label_views], by=str.lower)
        self._check_names(self._services, contents.feature_services)
        self._check_sources()
        self._check_twins([*contents.entities, *contents.permissions])
        self._check_projects()
        for view in contents.label_views:
            if view.name in self._views.left_out:
                continue
            self._views.left_out[view.name] = self._definition(view).cannot_run(
                "label views are Feast's alone", "Read it with Feast"
            )
        for view in contents.stream_feature_views:
            if error := self._unread.get(view.stream_source.name):
                definition = self._definition(view)
                self._views.left_out[view.name] = definition.without(error, f"{error.name} cannot be read")

    def _stream_view(self, view: Any) -> StreamViewSpec:
        definition = self._definition(view)
        with definition.checking_names():
            compiled = compile_stream_view(
                definition, view, self._sources, self._repository.path, self._join_keys
            )
        check_columns_apart(definition, compiled)
        self._hash_fields.check(definition, compiled)
        return compiled

    def _batch_view(self, view: Any) -> BatchViewSpec:
        self._repository.infer(view)
        definition = self._definition(view)
        with definition.checking_names():
            compiled = compile_batch_view(definition, view, self._join_keys, self._repository.path)
        check_table(definition, view, self._repository.path)
        self._hash_fields.check(definition, compiled)
        return compiled

    def _on_demand_view(self, view: Any, views: Views[StoredView], plan: Plan) -> OnDemandViewSpec:
        definition = self._definition(view)
        with definition.checking_names():
            compiled = compile_on_demand_view(definition, view, views)
        check_inputs_apart(definition, plan, compiled)
        return compiled

    def _source(self, source: EventSource, views: Iterable[StreamViewSpec]) -> SourceSpec:
        with source.definition.checking_names(leave_out=False):
            return compile_source(source, [view for view in views if view.source == source.name])

    def _push_source(self, source: Any, views: list[Any]) -> PushSourceSpec:
        with self._definition_of_source(source).checking_names():
            return compile_push_source(source.name, views)

    def _service(self, service: Any, views: Views[View], plan: Plan) -> FeatureServiceSpec:
        definition = self._definition(service)
        with definition.checking_names():
            compiled = compile_service(definition, service, views)
        check_apart(definition, plan, compiled.features)
        return compiled

    def _expectations(self, view: StreamViewSpec | BatchViewSpec, defined: Any) -> ViewExpectationsSpec:
        features = compile_view_expectations(self._definition(defined), view, defined.tags)
        return ViewExpectationsSpec(view=view.name, features=features)

    def _definition(self, item: Any) -> Definition:
        repository = self._repository
        return Definition(repository.file_of(item), object_name(item), repository.line_of(item))

    def _check_sources(self) -> None:
        """Refuse two sources of one name: Feast's registry would have one of them. A path may be a name."""
        seen: dict[str, Any] = {}
        for source in self._contents.data_sources:
            other = seen.setdefault(source.name, source)
            if other != source and source.name != getattr(source, "path", None):
                where = self._definition_of_source(other).place
                self._others.left_out[source.name] = self._definition_of_source(source).error(
                    f"there is another of this name in {where}, which differs",
                    "Rename one of the two",
                )

    def _check_twins(self, items: Iterable[Any]) -> None:
        """Refuse two objects of one kind and name that differ: Feast's registry would keep one of them."""
        seen: dict[str, Any] = {}
        for item in items:
            definition = self._definition(item)
            other = seen.setdefault(definition.name, item)
            if other != item:
                self._others.left_out[definition.name] = definition.error(
                    f"there is another of this name in {self._definition(other).place}, which differs",
                    "Rename one of the two",
                )

    def _check_projects(self) -> None:
        """Refuse what `feast apply` refuses: a second `Project`, or one that is called otherwise."""
        for number, project in enumerate(self._contents.projects):
            definition, wanted = self._definition(project), self._repository.project
            if project.name != wanted:
                self._others.left_out[definition.name] = definition.error(
                    f"the project of the configuration is '{wanted}'", f"Write name='{wanted}'"
                )
            elif number:
                self._others.left_out[definition.name] = definition.error(
                    "there is another Project, and Feast takes one", "Take one out"
                )

    def _definition_of_source(self, source: Any) -> Definition:
        """A source that is written inside its view is where that is."""
        contents = self._contents
        views = [*contents.feature_views, *contents.stream_feature_views]
        readers = [v for v in views if source in (v.batch_source, v.stream_source)]
        name = f"data source '{source.name}'"
        repository = self._repository
        return Definition(repository.file_of(source, *readers), name, repository.line_of(source, *readers))

    def _check_names(
        self, gathering: Gathering, items: Iterable[Any], by: Callable[[str], str] = str
    ) -> None:
        """Leave out two objects of one name, which is an error, versions of views, and disabled ones."""
        seen: dict[str, Any] = {}
        for item in items:
            definition = self._definition(item)
            if by(item.name) in seen:
                other = seen[by(item.name)]
                but = "" if other.name == item.name else " but for case, which Feast tells no views apart by"
                gathering.left_out[item.name] = definition.error(
                    f"{self._definition(other).name} in {self._definition(other).place} has this name{but}",
                    "Rename one of the two",
                )
            elif normalize_version_string(getattr(item, "version", LATEST_VERSION)) != LATEST_VERSION:
                gathering.left_out[item.name] = definition.cannot_run(
                    f"it has version='{item.version}', which is not served", "Take it out"
                )
            elif not getattr(item, "enabled", True):
                gathering.left_out[item.name] = definition.cannot_run(
                    "it has enabled=False, and Feast answers nothing of it", "Take that out"
                )
            elif fault := folder_fault(item.name):
                gathering.left_out[item.name] = definition.cannot_run(
                    f"the name is not taken: {fault}", "Rename it"
                )
            seen[by(item.name)] = item
