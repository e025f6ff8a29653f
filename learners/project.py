"""A project: the learners and routers that a repository's ``learners.py`` defines."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from headrace.learners.definitions import Learner, Router
from headrace.learners.frozen import FrozenModel
from headrace.learners.models.definition_hash import PROJECT_MODULE
from headrace.schemas.errors import DefinitionError, UnknownNameError

FILE = "learners.py"


@dataclass(frozen=True)
class Project:
    """The learners and routers of a repository, in the order of their definition.

    Attributes
    ----------
    file
        Path of ``learners.py``, which need not exist.
    """

    file: Path
    learners: tuple[Learner, ...] = ()
    routers: tuple[Router, ...] = ()

    def learner(self, name: str) -> Learner:
        """Return a learner by name.

        Raises
        ------
        UnknownNameError
            When there is none; names the nearest.
        """
        for learner in self.learners:
            if learner.name == name:
                return learner
        raise UnknownNameError("learner", name, [learner.name for learner in self.learners])


def load_project(repo_dir: Path) -> Project:
    """Run ``learners.py`` and collect the learners and routers among its globals.

    Definitions count alone, in lists and in tuples. The module is entered into `sys.modules` under one stable
    name, so that pickles which refer to its functions resolve in every process. A repository without the file
    is a project without learners. A process holds one project: loading another replaces the module.

    Raises
    ------
    DefinitionError
        When the file cannot be run.
    """
    file = repo_dir / FILE
    if not file.exists():
        return Project(file)
    names = vars(_run(file)).values()
    flat = [item for value in names for item in (value if isinstance(value, list | tuple) else (value,))]
    unique = {id(item): item for item in flat}.values()
    return Project(
        file,
        tuple(_located(item, repo_dir) for item in unique if isinstance(item, Learner)),
        tuple(item for item in unique if isinstance(item, Router)),
    )


def _located(learner: Learner, folder: Path) -> Learner:
    """Take the file of a frozen model from the folder of learners.py."""
    if not isinstance(learner.model, FrozenModel):
        return learner
    return replace(learner, model=learner.model.beside(folder))


def _run(file: Path) -> ModuleType:
    import headrace.learners.models.fast_import  # noqa: F401  (before anything of river)

    spec = importlib.util.spec_from_file_location(PROJECT_MODULE, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(PROJECT_MODULE)
    sys.modules[PROJECT_MODULE] = module
    try:
        # From its text: Python's cache takes a file that is written again within a second for the old one.
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except Exception as error:
        sys.modules.pop(PROJECT_MODULE)
        if before is not None:
            sys.modules[PROJECT_MODULE] = before
        problem = f"running it raised {type(error).__name__}: {error}"
        raise DefinitionError(str(file), FILE, problem, "Correct the file", _line(file, error)) from error
    return module


def _line(file: Path, error: Exception) -> int | None:
    """Return the line of a file at which running it raised an error."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == str(file)), None)
