"""On-demand feature views: computed for all rows of a request at once, by functions of the Feast repository.

The file that defines a function is imported when it is needed, and Feast and pandas with it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import linecache
import math
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrace.schemas.errors import DefinitionError, HeadraceError
from headrace.schemas.feature_types import ValueType, element_type

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import FieldSpec, OnDemandViewSpec

Columns = Mapping[str, Sequence[Any]]
_importing = threading.Lock()  # importing changes the module path of the process for a moment


def definition_of(view: Any) -> str:
    """SHA-256, in hex, of the source text of the function of Feast's `OnDemandFeatureView`."""
    linecache.checkcache(view.udf.__code__.co_filename)  # the file may have changed since it was last read
    text = inspect.getsource(view.udf)
    return hashlib.sha256(text.encode()).hexdigest()


class OnDemandView:
    """One view, ready to be computed.

    Parameters
    ----------
    spec
        What the plan says of it.
    dtypes
        Types of all inputs, by the names the function sees.
    function
        That of the repository.
    """

    def __init__(
        self, spec: OnDemandViewSpec, dtypes: Mapping[str, ValueType], function: Callable[[Any], Any]
    ) -> None:
        self._spec, self._dtypes, self._function = spec, dtypes, function

    def compute(self, inputs: Columns, rows: int) -> dict[str, list[Any]]:
        """Feature to values, None where the function gives nothing.

        Parameters
        ----------
        inputs
            Columns of `rows` values each: join keys and request fields, and features by short and full name.

        Raises
        ------
        DefinitionError
            When the function fails, or its output is not what the view declares.
        """
        if not rows:
            return {feature.name: [] for feature in self._spec.features}
        try:
            outputs = self._call(inputs, rows)
        except Exception as error:  # whatever the user's function raises
            raise self._error(
                f"its function raises {type(error).__name__}: {error}", "Let it cope with missing values"
            ) from error
        return {feature.name: self._column(outputs, feature, rows) for feature in self._spec.features}

    def _call(self, inputs: Columns, rows: int) -> Any:
        if self._spec.mode == "pandas":
            return self._function(_frame(inputs, self._dtypes))
        if not self._spec.singleton:
            return self._function({name: list(values) for name, values in inputs.items()})
        single = [
            self._function(dict(zip(inputs, values, strict=True)))
            for values in zip(*inputs.values(), strict=True)
        ]
        return {name: [row.get(name) for row in single] for name in single[0]}

    def _column(self, outputs: Any, feature: FieldSpec, rows: int) -> list[Any]:
        names = (feature.name, f"{self._spec.name}__{feature.name}")
        found = next((name for name in names if name in outputs), None)
        if found is None:
            raise self._error(f"its function gives no '{feature.name}'", f"Known: {', '.join(outputs)}")
        values = outputs[found]
        values = values.tolist() if hasattr(values, "tolist") else list(values)
        if len(values) != rows:
            raise self._error(
                f"its function gives {len(values)} values of '{feature.name}' for {rows} rows",
                "Give one per row",
            )
        try:
            return [None if _is_null(value) else _cast(feature.dtype, value) for value in values]
        except (TypeError, ValueError, OverflowError) as error:
            raise self._error(
                f"its function gives no {feature.dtype} for '{feature.name}' ({error})",
                "Correct the function or the type of the Field",
            ) from error

    def _error(self, problem: str, remedy: str) -> DefinitionError:
        return DefinitionError(
            self._spec.file, f"on demand feature view '{self._spec.name}'", problem, remedy
        )


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
        """The function of a view.

        Raises
        ------
        HeadraceError
            When no repository was named.
        DefinitionError
            When its file cannot be imported, or has another function than the plan.
        """
        if self._repo_dir is None:
            raise HeadraceError(
                f"on demand feature view '{spec.name}' is computed by a function in {spec.file} of the Feast "
                "repository; name its folder as `repo_dir` of the client"
            )
        for value in vars(self._module(self._repo_dir, spec)).values():
            if getattr(value, "name", None) == spec.name and callable(getattr(value, "udf", None)):
                if definition_of(value) == spec.definition:
                    function: Callable[[Any], Any] = value.udf
                    return function
                raise self._error(spec, "its function is another one than that of the plan")
        raise self._error(spec, "it is in the plan, but not in this file")

    def _module(self, repo_dir: Path, spec: OnDemandViewSpec) -> ModuleType:
        with _importing:
            if spec.file not in self._modules:
                try:
                    self._modules[spec.file] = _import(repo_dir, spec.file)
                except (Exception, SystemExit) as error:  # whatever stands in the user's file
                    problem = f"its file cannot be imported ({type(error).__name__}: {error})"
                    raise self._error(spec, problem) from error
            return self._modules[spec.file]

    def _error(self, spec: OnDemandViewSpec, problem: str) -> DefinitionError:
        remedy = f"See that {self._repo_dir} is the repository that was applied, or run `headrace apply`"
        return DefinitionError(spec.file, f"on demand feature view '{spec.name}'", problem, remedy)


def _import(repo_dir: Path, file: str) -> ModuleType:
    """Import a file under a name that nobody else uses; it may import its neighbours."""
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


def _frame(inputs: Columns, dtypes: Mapping[str, ValueType]) -> Any:
    """A DataFrame as Feast makes it, but of the declared types where all values are missing."""
    import pandas as pd

    return pd.DataFrame({name: _series(dtypes.get(name), values) for name, values in inputs.items()})


def _series(dtype: ValueType | None, values: Sequence[Any]) -> Any:
    import pandas as pd

    missing = None in values
    if dtype in ("Float32", "Float64") or (dtype in ("Int32", "Int64") and missing):
        return pd.Series(values, dtype="float64")
    if dtype in ("Int32", "Int64"):
        return pd.Series(values, dtype="int64")
    if dtype == "UnixTimestamp":
        return pd.to_datetime(pd.Series(values, dtype="object"), utc=True)
    return pd.Series(values, dtype="bool" if dtype == "Bool" and not missing else "object")


def _is_null(value: Any) -> bool:
    """None, NaN, and pandas' NaT and NA, none of which equals itself."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in ("NaTType", "NAType")


def _whole(value: Any) -> int:
    number = int(value)
    if number != value:
        raise ValueError(f"{value!r} is not whole")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _time(value: Any) -> datetime:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return datetime.fromtimestamp(math.floor(moment.timestamp()), UTC)
    return datetime.fromtimestamp(int(value), UTC)


_CASTS: Mapping[ValueType, Callable[[Any], Any]] = {
    "Int32": _whole,
    "Int64": _whole,
    "Float32": float,
    "Float64": float,
    "Bool": bool,
    "String": _text,
    "UnixTimestamp": _time,
}
COMPUTED_TYPES = (*_CASTS, *(f"Array({name})" for name in _CASTS))


def _cast(dtype: ValueType, value: Any) -> Any:
    inner = element_type(dtype)
    return _CASTS[dtype](value) if inner is None else [_CASTS[inner](item) for item in value]
