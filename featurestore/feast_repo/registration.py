"""Registers a repository with Feast, in steps of which only the last takes anything away."""

from __future__ import annotations

import contextlib
import copy
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast import FileSource, Project
from feast.feature_store import FeatureStore
from feast.feature_view import FeatureView
from feast.repo_config import RepoConfig
from feast.repo_operations import extract_objects_for_apply_delete

from headrace.featurestore.feast_repo.as_feast import as_feast_runs
from headrace.featurestore.feast_repo.environment import CONFIG_FILE
from headrace.featurestore.feast_repo.error_text import error_text
from headrace.featurestore.feast_repo.registry import (
    Registry,
    rehearsal_config,
    with_registry_in,
    without_online_store,
)
from headrace.featurestore.feast_repo.repository import FeastRepository, read_repository
from headrace.schemas.errors import DefinitionError, ServiceUnavailable


@dataclass(frozen=True)
class RemovedView:
    """A feature view that Feast's registry holds and the repository does not define any more."""

    name: str
    join_keys: tuple[str, ...]
    features: tuple[str, ...]


class Registration:
    """Brings Feast's registry to what a repository defines.

    Nothing is done to online rows: Feast's own `apply` deletes those of a removed view before it writes its
    registry. Sources of data are not asked: the tables of batch views may come later.

    Parameters
    ----------
    path
        The repository.
    feature_log
        Folder of the feature log. Each stream view is registered with its own part of it as batch source,
        where the repository has a `FileSource`: views may share a Kafka source, and a Kafka source has one
        batch source for all of them. None keeps the batch sources of the repository.
    registry
        File of the registry in place of one that ``feature_store.yaml`` names; None for that.

    Raises
    ------
    DefinitionError
        When the repository cannot be read.
    """

    def __init__(self, path: Path, feature_log: Path | None = None, registry: Path | None = None) -> None:
        self._repository = read_repository(path)
        if feature_log is not None:
            read_from_feature_log(self._repository, feature_log)
        self._config = without_online_store(with_registry_in(self._repository.config, registry))

    def rehearse(self) -> None:
        """Let Feast apply everything to a copy of its registry, which is thrown away.

        Raises
        ------
        DefinitionError
            When Feast does not take the definitions.
        ServiceUnavailable
            When its registry cannot be read.
        """
        with tempfile.TemporaryDirectory() as folder:
            with self._asking_the_registry():
                config = rehearsal_config(self._config, Path(folder) / "registry.db")
            try:
                with as_feast_runs(self._repository.path):
                    store = FeatureStore(config=config)
                    wanted, gone = self._objects(store)
                    store.apply(wanted, objects_to_delete=[], partial=True)
                    store.apply([], objects_to_delete=gone, partial=False)
            except Exception as error:  # whatever Feast, or what it calls of the user's, raises
                file, line = self._spoken_of(error)
                raise DefinitionError(
                    file,
                    f"project '{self._repository.project}'",
                    f"Feast does not accept it ({type(error).__name__}: {error_text(error)})",
                    "Correct the definition that the message speaks of",
                    line,
                ) from error

    @contextlib.contextmanager
    def added(self) -> Iterator[None]:
        """Add and change what the repository defines; when this or the block fails, put it back.

        Raises
        ------
        ServiceUnavailable
            When the registry cannot be read or written.
        """
        with self._asking_the_registry():
            registry = Registry(self._config)
            before = registry.content()
        try:
            with self._asking_the_registry():
                wanted, _ = self._objects(registry.store)
                registry.store.apply(wanted, objects_to_delete=[], partial=True)
            yield
        except BaseException as cause:
            try:
                with self._asking_the_registry():
                    registry.put_back(before)
            except ServiceUnavailable as error:
                raise ServiceUnavailable(
                    f"{cause}. Nor could the registry be put back, so that it may have the new definitions "
                    f"while the plan before is in force: {error}. Run `headrace apply` again"
                ) from cause
            raise

    @property
    def deletes_rows(self) -> bool:
        """Whether rows of removed views are deleted."""
        return deletes_rows(self._repository.config)

    def removed_views(self) -> list[RemovedView]:
        """Return the feature views that are registered and not defined any more.

        Raises
        ------
        ServiceUnavailable
            When the registry cannot be read.
        """
        contents = self._repository.contents
        views = [*contents.feature_views, *contents.stream_feature_views, *contents.on_demand_feature_views]
        defined = {view.name for view in views}
        with self._asking_the_registry():
            _, gone = self._objects(Registry(self._config).store)
        return [
            RemovedView(view.name, tuple(view.join_keys), tuple(field.name for field in view.features))
            for view in gone
            if isinstance(view, FeatureView) and view.name not in defined
        ]

    def remove(self) -> None:
        """Take out of the registry what the repository does not define any more.

        Raises
        ------
        ServiceUnavailable
            When the registry cannot be read or written.
        """
        with self._asking_the_registry():
            registry = Registry(self._config)
            _, gone = self._objects(registry.store)
            if gone:
                registry.store.apply([], objects_to_delete=gone, partial=False)

    def _spoken_of(self, error: Exception) -> tuple[str, int | None]:
        """Return file and line of an error: where it was raised, else of an object that it names."""
        repository = self._repository
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if Path(frame.filename).is_relative_to(repository.path):
                return str(Path(frame.filename).relative_to(repository.path)), frame.lineno
        items = [item for items in repository.contents for item in items if id(item) in repository.files]
        named = [item for item in items if f"'{getattr(item, 'name', '')}'" in str(error)]
        return repository.file_of(*named), repository.line_of(*named)

    def _objects(self, store: FeatureStore) -> tuple[list[Any], list[Any]]:
        """Feast's objects to apply, and those to delete."""
        wanted, gone, _, _ = extract_objects_for_apply_delete(
            self._repository.project, store.registry, self._repository.contents
        )
        return wanted, [item for item in gone if not isinstance(item, Project)]

    @contextlib.contextmanager
    def _asking_the_registry(self) -> Iterator[None]:
        try:
            with as_feast_runs(self._repository.path):
                yield
        except Exception as error:  # of a database whatever its driver raises
            raise ServiceUnavailable(
                f"Feast's registry of project '{self._repository.project}' cannot be read or written "
                f"({type(error).__name__}: {error_text(error)}); see `registry` in {CONFIG_FILE}"
            ) from error


def deletes_rows(config: RepoConfig) -> bool:
    """Whether rows of removed views are deleted: not with Feast's ``full_scan_for_deletion: false``."""
    return bool(getattr(config.online_store, "full_scan_for_deletion", True))


def register(path: Path, feature_log: Path | None = None) -> None:
    """Apply a repository to Feast's registry, as ``feast apply`` does; see `Registration`.

    Raises
    ------
    DefinitionError
        When the repository cannot be read, or Feast does not take it.
    ServiceUnavailable
        When the registry cannot be read or written.
    """
    registration = Registration(path, feature_log)
    registration.rehearse()
    with registration.added():
        pass
    registration.remove()


def read_from_feature_log(repository: FeastRepository, feature_log: Path) -> None:
    """Replace the batch source of each stream view that is a file by its part of the feature log."""
    for view in repository.contents.stream_feature_views:
        if isinstance(view.batch_source, FileSource):
            log = FileSource(
                name=f"{view.name}_feature_log",
                path=str(feature_log / view.name),
                timestamp_field="event_timestamp",
                created_timestamp_column="created",
            )
            # A copy of a view takes the batch source from its stream source: it needs one of its own.
            view.stream_source = copy.copy(view.stream_source)
            view.batch_source = view.stream_source.batch_source = log
            repository.contents.data_sources.append(log)
