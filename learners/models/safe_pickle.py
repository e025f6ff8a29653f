"""A restricted unpickler for models: resolves only names of an allow-list, so that a pickle runs nothing."""

from __future__ import annotations

import io
import pickle
import sys
import time
from random import Random
from typing import Any

from headrace.learners.models.pickled_names import PLAIN, is_model_module, is_project_module
from headrace.schemas.errors import ModelError

_COMPILED = "river._river_rust"
_PLAIN_METHODS = {(Random, "gauss"), (str, "lower")}


def dump_model(model: object) -> bytes:
    """Pickle a model."""
    return pickle.dumps(model, protocol=5)


class _Paced:
    """Bytes that are read with a pause before each part: pickles have frames of 64 kB.

    While C unpickles a frame, no other thread of the process runs; a large model would hold up all of them.
    """

    def __init__(self, data: bytes, pause_s: float) -> None:
        self._file, self._pause_s = io.BytesIO(data), pause_s

    def read(self, size: int = -1) -> bytes:
        time.sleep(self._pause_s)
        return self._file.read(size)

    def readline(self) -> bytes:
        return self._file.readline()


def load_model(data: bytes, pause_s: float = 0.0) -> Any:
    """Unpickle a model.

    Allowed are classes that river's model packages define, the plain types of Python and numpy that its
    models hold, and names that the project's ``learners.py`` defines.

    Parameters
    ----------
    pause_s
        Pause after each 64 kB, in which other threads run.

    Raises
    ------
    ModelError
        When the pickle names anything else, or cannot be read.
    """
    try:
        return _Unpickler(_Paced(data, pause_s) if pause_s else io.BytesIO(data)).load()
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the model cannot be unpickled: {type(error).__name__}: {error}") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in PLAIN.get(module, ()):
            return super().find_class(module, name)
        if is_model_module(module):
            return self._defined_there(module, name)
        if (module, name) == ("builtins", "getattr"):
            return _bound_method
        raise _refused(module, name)

    def _defined_there(self, module: str, name: str) -> Any:
        """Resolve a name that the package itself defines, none that it imports (river imports os).

        Of river these are classes and their methods. A function takes any arguments that a pickle names.
        """
        if is_project_module(module) and module not in sys.modules:
            raise ModelError("the model refers to learners.py, which is not loaded; call load_project first")
        resolved = super().find_class(module, name)
        if not is_model_module(getattr(resolved, "__module__", None) or ""):
            raise _refused(module, name)
        if isinstance(resolved, type) or "." in name or is_project_module(module):
            return resolved
        if module.startswith(_COMPILED):  # functions of numbers
            return resolved
        raise _refused(module, name)


def _bound_method(owner: Any, name: str) -> Any:
    """Resolve what pickle writes for a method bound to a model, and few other methods."""
    if (owner if isinstance(owner, type) else type(owner), name) in _PLAIN_METHODS:
        return getattr(owner, name)
    if isinstance(owner, type) or not is_model_module(type(owner).__module__) or name.startswith("__"):
        raise _refused("builtins", f"getattr(…, {name!r})")
    return getattr(owner, name)


def _refused(module: str, name: str) -> ModelError:
    return ModelError(
        f"the model holds '{module}.{name}', which may not be loaded; "
        "build models from river and from what learners.py defines"
    )
