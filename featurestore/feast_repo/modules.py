"""Imports the Python files of a repository, all of them, and tells what each raises."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from headrace.schemas.errors import DefinitionError

LEARNERS_FILE = "learners.py"  # read by the learners package, not by Feast


def module_name(file: Path, root: Path) -> str:
    """Return the name by which a file of a repository is imported.

    >>> module_name(Path("/repo/views/users.py"), Path("/repo"))
    'views.users'
    """
    return ".".join(file.relative_to(root).with_suffix("").parts)


@contextlib.contextmanager
def fresh_modules(names: list[str]) -> Iterator[None]:
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


def import_all(root: Path, names: Iterable[str]) -> tuple[DefinitionError, ...]:
    """Import modules, and return an error for each place that one of them fails at.

    Empty modules take the names of those that failed, so that Feast passes over them.
    """
    errors: dict[str, DefinitionError] = {}
    failed = []
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as raised:
            error = import_error(root, raised)
            errors.setdefault(str(error), error)  # whoever imports a broken file fails where it does
            failed.append(name)
    sys.modules.update({name: ModuleType(name) for name in failed})
    return tuple(errors.values())


def import_error(root: Path, error: BaseException) -> DefinitionError:
    """Return an error of importing a repository's file, with the place in the repository."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(root)]
    line = None
    file = root
    if isinstance(error, SyntaxError) and error.filename:
        file, line = Path(error.filename), error.lineno
    elif frames:
        file, line = Path(frames[-1].filename), frames[-1].lineno
    is_inside = file != root and file.is_relative_to(root)
    name = f"module '{module_name(file, root)}'" if is_inside else "repository"
    shown = str(file.relative_to(root) if is_inside else file)
    problem = error.msg if isinstance(error, SyntaxError) else str(error)
    return DefinitionError(
        shown, name, f"{type(error).__name__}: {problem}", "Correct it and run again", line or None
    )
