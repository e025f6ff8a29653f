"""Functions of on-demand feature views, imported from the files of the Feast repository.

The file that defines a function is imported when the function is needed, and Feast and pandas with it. A plan
names the file, and whoever can write to Redis can write plans: it must be a file of the repository, and must
have the text of the plan's function, before any of it is run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import linecache
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrace.schemas.errors import DefinitionError, HeadraceError

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import OnDemandViewSpec

_import_lock = threading.Lock()  # importing changes the module path of the process for a moment


def function_digest(view: Any) -> str:
    """SHA-256, in hex, of the source text of the function of Feast's `OnDemandFeatureView`."""
    linecache.checkcache(view.udf.__code__.co_filename)  # the file may have changed since it was last read
    text = inspect.getsource(view.udf)
    return hashlib.sha256(text.encode()).hexdigest()


def has_function(text: str, digest: str) -> bool:
    """Whether a file defines a function whose `function_digest` is `digest`. Nothing of it is run.

    >>> text = "def doubled(x): return 2 * x"
    >>> has_function(text, hashlib.sha256(text.encode()).hexdigest())
    True
    """
    lines = text.splitlines(keepends=True)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, functions):
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            source = "".join(inspect.getblock(lines[first - 1 :]))  # as `inspect.getsource` cuts it
            if hashlib.sha256(source.encode()).hexdigest() == digest:
                return True
    return False


class OnDemandFunctions:
    """The functions of a repository's on-demand views; safe to share among threads.

    Parameters
    ----------
    repo_dir
        The Feast repository; None when there is none at hand.
    """

    def __init__(self, repo_dir: Path | str | None) -> None:
        self._repo_dir = None if repo_dir is None else Path(repo_dir).resolve()
        self._modules: dict[str, ModuleType] = {}

    def function(self, spec: OnDemandViewSpec) -> Callable[[Any], Any]:
        """Import the function of a view.

        Raises
        ------
        HeadraceError
            When no repository was named.
        DefinitionError
            When its file is not in the repository, cannot be imported, or has another function than the plan.
        """
        if self._repo_dir is None:
            raise HeadraceError(
                f"on demand feature view '{spec.name}' is computed by a function in {spec.file} of the Feast "
                "repository; name its folder as `repo_dir` of the client"
            )
        for value in vars(self._module(self._repo_dir, spec)).values():
            if getattr(value, "name", None) == spec.name and callable(getattr(value, "udf", None)):
                if function_digest(value) == spec.definition:
                    function: Callable[[Any], Any] = value.udf
                    return function
                raise self._error(spec, "its function is another one than that of the plan")
        raise self._error(spec, "it is in the plan, but not in this file")

    def _module(self, repo_dir: Path, spec: OnDemandViewSpec) -> ModuleType:
        with _import_lock:
            if spec.file not in self._modules:
                self._check(repo_dir, spec)
                try:
                    self._modules[spec.file] = _import(repo_dir, spec.file)
                except (Exception, SystemExit) as error:  # whatever stands in the user's file
                    problem = f"its file cannot be imported ({type(error).__name__}: {error})"
                    raise self._error(spec, problem) from error
            return self._modules[spec.file]

    def _check(self, repo_dir: Path, spec: OnDemandViewSpec) -> None:
        """Refuse a file that is not in the repository, or has not the plan's function."""
        path = (repo_dir / spec.file).resolve()
        if not path.is_relative_to(repo_dir) or path.suffix != ".py":
            raise self._error(spec, "the plan names a file that is no Python file in the repository")
        try:
            defined = has_function(path.read_text(encoding="utf-8"), spec.definition)
        except (OSError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
            problem = f"its file cannot be read ({type(error).__name__}: {error})"
            raise self._error(spec, problem) from error
        if not defined:
            raise self._error(spec, "its function is another one than that of the plan")

    def _error(self, spec: OnDemandViewSpec, problem: str) -> DefinitionError:
        remedy = f"See that {self._repo_dir} is the repository that was applied, or run `headrace apply`"
        return DefinitionError(spec.file, f"on demand feature view '{spec.name}'", problem, remedy)


def _import(repo_dir: Path, file: str) -> ModuleType:
    """Import a file under a name that no other module has. The file may import its neighbours."""
    name = f"_headrace_{hashlib.sha256(f'{repo_dir}/{file}'.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, repo_dir / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(repo_dir))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(repo_dir))
    return module
