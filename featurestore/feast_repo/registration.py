"""Registers a repository with Feast: registry and online store."""

from __future__ import annotations

import copy
from pathlib import Path

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
import redis
from feast import FileSource
from feast.repo_operations import extract_objects_for_apply_delete

from headrace.featurestore.feast_repo.repository import FeastRepository, as_feast_runs, read_repository
from headrace.schemas.errors import DefinitionError


def register(path: Path, feature_log: Path | None = None, online: redis.Redis | None = None) -> None:
    """Apply a repository to Feast, as ``feast apply`` does but without its checks of data sources.

    The tables of batch views may come later.

    Parameters
    ----------
    path
        The repository.
    feature_log
        Folder of the feature log. Each stream view is registered with its own part of it as batch source,
        where the repository has a `FileSource`: views may share a Kafka source, and a Kafka source has one
        batch source for all of them. None keeps the batch sources of the repository.
    online
        The Redis from which Feast deletes the rows of views that are gone; the one of
        ``feature_store.yaml`` when None.

    Raises
    ------
    DefinitionError
        When the repository cannot be read, or Feast does not take it.
    """
    repository = read_repository(path)
    if feature_log is not None:
        read_from_feature_log(repository, feature_log)
    with as_feast_runs(repository.path):
        store = repository.store()
        if online is not None:
            store._get_provider().online_store._client = online
        try:
            wanted, unwanted, _, _ = extract_objects_for_apply_delete(
                repository.project, store.registry, repository.contents
            )
            store.apply(wanted, objects_to_delete=unwanted, partial=False)
        except (ValueError, TypeError, AssertionError, KeyError, OSError) as error:
            raise DefinitionError(
                str(path),
                f"project '{repository.project}'",
                f"Feast does not accept it ({type(error).__name__}: {error})",
                "Correct the definition that the message speaks of",
            ) from error


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
