"""Reads a Feast repository folder as Feast does, and finds which file defines what."""

from __future__ import annotations

import ast
import contextlib
import copy
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
import redis
from feast import FileSource
from feast.feature_store import FeatureStore
from feast.repo_config import RepoConfig, load_repo_config
from feast.repo_operations import (
    extract_objects_for_apply_delete,
    get_repo_files,
    is_valid_name,
    parse_repo,
)

from headrace.schemas.errors import DefinitionError

CONFIG_FILE = "feature_store.yaml"
LEARNERS_FILE = "learners.py"  # read by the learners package, not by Feast


@dataclass(frozen=True)
class FeastRepository:
    """A Feast repository, read but not registered.

    Attributes
    ----------
    path
        The folder.
    config
        Feast's `RepoConfig`.
    contents
        Feast's `RepoContents`: every object defined at the top level of a file.
    files
        File (relative to `path`) that defines an object, by the object's id.
    """

    path: Path
    config: Any
    contents: Any
    files: dict[int, str]

    @property
    def project(self) -> str:
        return str(self.config.project)

    def file_of(self, *candidates: object) -> str:
        """The file of the first of the objects that stands at the top level of one."""
        return next((self.files[id(c)] for c in candidates if id(c) in self.files), str(self.path))

    def store(self) -> FeatureStore:
        return FeatureStore(config=self.config)


def read_repository(path: Path) -> FeastRepository:
    """Read the configuration and import the Python files of a repository.

    The files are imported afresh, with the folder first on the path and as the working directory, as
    ``feast apply`` does. Nothing of it stays behind: not the modules, the path or the working directory.

    Raises
    ------
    DefinitionError
        When the configuration cannot be used or a file cannot be imported.
    """
    path = path.resolve()
    config = _read_config(path)
    with _as_feast_runs(path):
        names = [_module_name(file, path) for file in get_repo_files(path)]
        with _fresh_modules(names):
            try:
                contents = parse_repo(path)
            except (Exception, SystemExit) as error:
                raise _import_error(path, error) from error
            files = dict(_definitions(path, names, contents))
    return FeastRepository(path, config, contents, files)


def register(path: Path, feature_log: Path | None = None, online: redis.Redis | None = None) -> None:
    """Apply a repository to Feast: registry and online store, as ``feast apply`` without its checks of
    data sources, since the tables may come later.

    Parameters
    ----------
    path
        The repository.
    feature_log
        Folder of the feature log. Each stream view is registered with its own part of it as batch source,
        where the repository has a `FileSource`: views may share a Kafka source, and a Kafka source has one
        batch source for all. None leaves them as they are written.
    online
        The Redis from which Feast deletes the rows of views that are gone. None for the one that
        ``feature_store.yaml`` names.

    Raises
    ------
    DefinitionError
        When the repository cannot be read, or Feast does not take it.
    """
    repository = read_repository(path)
    if feature_log is not None:
        read_from_feature_log(repository, feature_log)
    with _as_feast_runs(repository.path):
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
    """Give each stream view its part of the feature log as batch source, where it has a file."""
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


def _read_config(path: Path) -> RepoConfig:
    file = path / CONFIG_FILE
    try:
        config = load_repo_config(path, file)
    except FileNotFoundError as error:
        raise DefinitionError(
            str(file), "Feast repository", "there is no such file", f"Write {CONFIG_FILE} or name its folder"
        ) from error
    except Exception as error:
        raise DefinitionError(
            CONFIG_FILE,
            "Feast repository",
            f"it cannot be read ({error})",
            "See https://docs.feast.dev/reference/feature-store-yaml",
        ) from error
    _check_config(config)
    return config


def _check_config(config: RepoConfig) -> None:
    online = config.online_config
    kind = online.get("type") if isinstance(online, dict) else online
    deployment = online.get("redis_type", "redis") if isinstance(online, dict) else "redis"
    name = f"project '{config.project}'"
    if not (is_valid_name(config.project) and config.project.isascii()):
        raise DefinitionError(
            CONFIG_FILE, name, "the name is not valid", "Use ASCII letters, digits, hyphens and underscores"
        )
    if kind != "redis" or deployment not in ("redis", "redis_cluster", "redis_sentinel"):
        found = f"online store '{kind}'" if kind != "redis" else f"redis_type '{deployment}'"
        raise DefinitionError(
            CONFIG_FILE,
            name,
            f"{found} is not written by Headrace",
            "Set online_store to type redis, redis_type to redis, redis_cluster or redis_sentinel",
        )
    if config.entity_key_serialization_version != 3:
        raise DefinitionError(
            CONFIG_FILE,
            name,
            f"entity_key_serialization_version is {config.entity_key_serialization_version}",
            "Set it to 3",
        )


@contextlib.contextmanager
def _as_feast_runs(path: Path) -> Iterator[None]:
    """In the folder, with its files first on the path; without Feast's notice that streams are new to it."""
    before, import_path, bytecode = os.getcwd(), list(sys.path), sys.dont_write_bytecode
    os.chdir(path)
    sys.path.insert(0, str(path))
    sys.dont_write_bytecode = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stream feature views are experimental", RuntimeWarning)
            yield
    finally:
        os.chdir(before)
        sys.path[:] = import_path
        sys.dont_write_bytecode = bytecode


@contextlib.contextmanager
def _fresh_modules(names: list[str]) -> Iterator[None]:
    """Let the repository's files have their names, also where a module in use is called the same.

    The name of the learners file is taken by an empty module meanwhile, so that Feast passes over it.
    """
    learners = LEARNERS_FILE.removesuffix(".py")
    tops = {name.split(".")[0] for name in names}
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in tops}
    for name in kept:
        del sys.modules[name]
    if learners in tops:
        sys.modules[learners] = ModuleType(learners)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in tops]:
            del sys.modules[name]
        sys.modules.update(kept)


def _module_name(file: Path, root: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts)


def _definitions(path: Path, names: list[str], contents: Any) -> Iterator[tuple[int, str]]:
    """Ids of the Feast objects that each file assigns at its top level, with the file."""
    found = {id(item) for items in contents for item in items}
    for name in names:
        file = Path(*name.split(".")).with_suffix(".py")
        module = sys.modules[name]
        if file.name != LEARNERS_FILE and found.intersection(map(id, vars(module).values())):
            imported = _imported_names(path / file)
            for attribute, value in vars(module).items():
                if id(value) in found and attribute not in imported:
                    yield id(value), str(file)


def _imported_names(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def _import_error(path: Path, error: BaseException) -> DefinitionError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(path)]
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    elif frames:
        file, line = frames[-1].filename, frames[-1].lineno
    else:
        file, line = str(path), None
    where = Path(file)
    shown = str(where.relative_to(path)) if where != path and where.is_relative_to(path) else file
    place = f"line {line}" if line else "repository"
    return DefinitionError(shown, place, f"{type(error).__name__}: {error}", "Correct it and run again")
