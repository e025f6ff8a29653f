"""A restricted unpickler for models: resolves only names of an allow-list, so that a pickle runs nothing."""

from __future__ import annotations

import io
import pickle
import sys
from typing import Any

from headrace.learners.models.definition_hash import PROJECT_MODULE
from headrace.schemas.errors import ModelError

# Whole names only: an attribute path such as ``river.utils.os.system`` is not a name of its module.
_ALLOWED = {
    "builtins": {
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
        "range", "set", "slice", "str", "tuple",
    },
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copy": {"deepcopy"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "functools": {"partial"},
    "math": {"exp", "log", "log1p", "sqrt"},
    "numpy": {"dtype", "ndarray", "float64", "int64"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.random._generator": {"Generator"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64"},
    "numpy.random._pickle": {"__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"},
    "random": {"Random"},
}  # fmt: skip


def dump_model(model: object) -> bytes:
    """Pickle a model."""
    return pickle.dumps(model, protocol=5)


def load_model(data: bytes) -> Any:
    """Unpickle a model.

    Allowed are names that river defines, the plain types of Python and numpy that its models hold, and names
    that the project's ``learners.py`` defines.

    Raises
    ------
    ModelError
        When the pickle names anything else, or cannot be read.
    """
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the model cannot be unpickled: {type(error).__name__}: {error}") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _ALLOWED.get(module, ()):
            return super().find_class(module, name)
        if module.split(".")[0] in ("river", PROJECT_MODULE):
            return self._defined_there(module, name)
        if (module, name) == ("builtins", "getattr"):
            return _bound_method
        raise _refused(module, name)

    def _defined_there(self, module: str, name: str) -> Any:
        """Resolve a name that the package itself defines, none that it imports (river imports os)."""
        if module == PROJECT_MODULE and module not in sys.modules:
            raise ModelError("the model refers to learners.py, which is not loaded; call load_project first")
        resolved = super().find_class(module, name)
        home = getattr(resolved, "__module__", None) or ""
        if home.split(".")[0] not in ("river", PROJECT_MODULE):
            raise _refused(module, name)
        return resolved


def _bound_method(owner: Any, name: str) -> Any:
    """Resolve what pickle writes for a method bound to a model, ``getattr(model, "name")``, and no other."""
    home = type(owner).__module__.split(".")[0]
    if isinstance(owner, type) or home not in ("river", PROJECT_MODULE) or name.startswith("__"):
        raise _refused("builtins", f"getattr(…, {name!r})")
    return getattr(owner, name)


def _refused(module: str, name: str) -> ModelError:
    return ModelError(
        f"the model holds '{module}.{name}', which may not be loaded; "
        "build models from river and from what learners.py defines"
    )
