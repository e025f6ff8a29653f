"""Reads a Feast repository as Feast does, and finds the file that defines each object."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.feature_store import FeatureStore
from feast.repo_operations import get_repo_files, parse_repo

from headrace.featurestore.feast_repo.as_feast import as_feast_runs
from headrace.featurestore.feast_repo.config import read_config
from headrace.featurestore.feast_repo.definition_lines import DefinitionLines
from headrace.featurestore.feast_repo.inference import infer
from headrace.featurestore.feast_repo.modules import (
    LEARNERS_FILE,
    fresh_modules,
    import_all,
    import_error,
    module_name,
)
from headrace.featurestore.feast_repo.online_store import online_spec
from headrace.schemas.errors import DefinitionError, raise_all
from headrace.schemas.plan import OnlineStoreSpec


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
        Feast's `RepoContents`: every object that is defined at the top level of a file.
    files
        The file (relative to `path`) that defines an object, by the `id` of the object.
    lines
        The line there, where the text of the file shows it.
    errors
        What some of the files raised; their objects are not among the contents.
    precomputed
        Names of the services that were written with ``precompute_online=True``, which is taken out.
    """

    path: Path
    config: Any
    contents: Any
    files: dict[int, str]
    lines: dict[int, int] = field(default_factory=dict)
    errors: tuple[DefinitionError, ...] = ()
    precomputed: frozenset[str] = frozenset()

    @property
    def project(self) -> str:
        """The name of the Feast project."""
        return str(self.config.project)

    @property
    def online(self) -> OnlineStoreSpec:
        """How rows are kept in Redis."""
        return online_spec(self.config)

    def file_of(self, *candidates: object) -> str:
        """The file that defines the first of the objects that one defines; the folder when none does."""
        return next((self.files[id(c)] for c in candidates if id(c) in self.files), str(self.path))

    def line_of(self, *candidates: object) -> int | None:
        """The line in the file that `file_of` names; None when it is not known."""
        return next((self.lines.get(id(c)) for c in candidates if id(c) in self.files), None)

    def infer(self, view: Any) -> None:
        """Fill in what a feature view leaves out (see `headrace.featurestore.feast_repo.inference`)."""
        try:
            with as_feast_runs(self.path):
                infer(self.file_of(view), view, self.contents.entities, self.config)
        except DefinitionError as error:
            raise error.at(self.line_of(view)) from error

    def store(self) -> FeatureStore:
        """Feast's `FeatureStore` of the repository."""
        return FeatureStore(config=self.config)


def read_repository(path: Path, in_part: bool = False) -> FeastRepository:
    """Read the configuration and import the Python files of a repository.

    The files are imported afresh, with the folder first on the module path and as the working directory, as
    ``feast apply`` does. Modules, module path and working directory are restored afterwards.

    Parameters
    ----------
    path
        The folder.
    in_part
        Whether to read the other files where some cannot be imported; see `FeastRepository.errors`.

    Raises
    ------
    DefinitionError
        When the configuration cannot be used or a file cannot be imported; of several files all.
    """
    path = path.resolve()
    config = read_config(path)
    with as_feast_runs(path):
        names = [module_name(file, path) for file in get_repo_files(path)]
        with fresh_modules(names):
            errors = import_all(path, names)
            if not in_part:
                raise_all(errors)
            try:
                contents = parse_repo(path)
            except (Exception, SystemExit) as error:
                raise import_error(path, error) from error
            precomputed = [service for service in contents.feature_services if service.precompute_online]
            for service in precomputed:
                # Feast would read vectors that only its own materialisation renews.
                service.precompute_online = False
            found = list(_definitions(path, names, contents))
    names_of_services = frozenset(service.name for service in precomputed)
    return FeastRepository(
        path,
        config,
        contents,
        files={key: file for key, file, _ in found},
        lines={key: line for key, _, line in found if line is not None},
        errors=errors,
        precomputed=names_of_services,
    )


def _definitions(path: Path, names: list[str], contents: Any) -> Iterator[tuple[int, str, int | None]]:
    """Ids of the Feast objects that each file assigns at its top level, with file and line."""
    objects = {id(item): item for items in contents for item in items}
    for name in names:
        file = Path(*name.split(".")).with_suffix(".py")
        module = sys.modules[name]
        if file.name != LEARNERS_FILE and not objects.keys().isdisjoint(map(id, vars(module).values())):
            text = (path / file).read_text(encoding="utf-8")
            imported, lines = _imported_names(text), DefinitionLines(text)
            for attribute, value in vars(module).items():
                if id(value) in objects and attribute not in imported:
                    name = str(getattr(objects[id(value)], "name", attribute))
                    yield id(value), str(file), lines.of(name, attribute)


def _imported_names(text: str) -> set[str]:
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}
