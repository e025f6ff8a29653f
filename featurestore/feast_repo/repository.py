"""Reads a Feast repository as Feast does, and finds the file that defines each object."""

from __future__ import annotations

import ast
import contextlib
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
from feast.feature_store import FeatureStore
from feast.repo_operations import get_repo_files, parse_repo

from headrace.featurestore.feast_repo.config import read_config
from headrace.featurestore.feast_repo.inference import infer
from headrace.featurestore.feast_repo.online_store import online_spec
from headrace.schemas.errors import DefinitionError
from headrace.schemas.plan import OnlineStoreSpec

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
        Feast's `RepoContents`: every object that is defined at the top level of a file.
    files
        The file (relative to `path`) that defines an object, by the `id` of the object.
    precomputed
        Names of the services that were written with ``precompute_online=True``, which is taken out.
    """

    path: Path
    config: Any
    contents: Any
    files: dict[int, str]
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

    def infer(self, view: Any) -> None:
        """Fill in what a feature view leaves out (see `headrace.featurestore.feast_repo.inference`)."""
        infer(self.file_of(view), view, self.contents.entities, self.config)

    def store(self) -> FeatureStore:
        """Feast's `FeatureStore` of the repository."""
        return FeatureStore(config=self.config)


def read_repository(path: Path) -> FeastRepository:
    """Read the configuration and import the Python files of a repository.

    The files are imported afresh, with the folder first on the module path and as the working directory, as
    ``feast apply`` does. Modules, module path and working directory are restored afterwards.

    Raises
    ------
    DefinitionError
        When the configuration cannot be used or a file cannot be imported.
    """
    path = path.resolve()
    config = read_config(path)
    with as_feast_runs(path):
        names = [_module_name(file, path) for file in get_repo_files(path)]
        with _fresh_modules(names):
            try:
                contents = parse_repo(path)
            except (Exception, SystemExit) as error:
                raise _import_error(path, error) from error
            precomputed = [service for service in contents.feature_services if service.precompute_online]
            for service in precomputed:
                # Feast would read vectors that only its own materialisation renews.
                service.precompute_online = False
            files = dict(_definitions(path, names, contents))
    names_of_services = frozenset(service.name for service in precomputed)
    return FeastRepository(path, config, contents, files, names_of_services)


@contextlib.contextmanager
def as_feast_runs(path: Path) -> Iterator[None]:
    """Run in the folder, with its files first on the module path, without Feast's notices of experiments."""
    before, import_path, bytecode = os.getcwd(), list(sys.path), sys.dont_write_bytecode
    os.chdir(path)
    sys.path.insert(0, str(path))
    sys.dont_write_bytecode = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"[\w ]+ (is an|are) experimental feature", RuntimeWarning)
            yield
    finally:
        os.chdir(before)
        sys.path[:] = import_path
        sys.dont_write_bytecode = bytecode


@contextlib.contextmanager
def _fresh_modules(names: list[str]) -> Iterator[None]:
    """Free the module names of the repository's files, also where another module has one of them.

    An empty module takes the name of the learners file meanwhile, so that Feast passes over that file.
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
    object_ids = {id(item) for items in contents for item in items}
    for name in names:
        file = Path(*name.split(".")).with_suffix(".py")
        module = sys.modules[name]
        if file.name != LEARNERS_FILE and object_ids.intersection(map(id, vars(module).values())):
            imported = _imported_names(path / file)
            for attribute, value in vars(module).items():
                if id(value) in object_ids and attribute not in imported:
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
    absolute = Path(file)
    is_inside = absolute != path and absolute.is_relative_to(path)
    shown = str(absolute.relative_to(path)) if is_inside else file
    place = f"line {line}" if line else "repository"
    return DefinitionError(shown, place, f"{type(error).__name__}: {error}", "Correct it and run again")
