"""An on-demand feature view, computed for all rows of a request at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.featurestore.on_demand.outputs import OutputError, columns_of, row_of, shown
from headrace.featurestore.on_demand.values import cast_value, copied, data_frame, is_null
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_types import ValueType

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import FieldSpec, OnDemandViewSpec


class OnDemandView:
    """Computes one view.

    Parameters
    ----------
    spec
        The view as the plan has it.
    dtypes
        Types of all inputs, by the names that the function sees.
    function
        The function of the repository.
    """

    def __init__(
        self, spec: OnDemandViewSpec, dtypes: Mapping[str, ValueType], function: Callable[[Any], Any]
    ) -> None:
        self._spec, self._dtypes, self._function = spec, dtypes, function

    def compute(self, inputs: Mapping[str, Sequence[Any]], rows: int) -> dict[str, list[Any]]:
        """Compute the features of all rows; None where the function gives nothing.

        Parameters
        ----------
        inputs
            Columns of `rows` values each: join keys and request fields, and features by short and full name.

        Returns
        -------
        dict
            Feature to `rows` values.

        Raises
        ------
        DefinitionError
            When the function fails, or its output is not what the view declares.
        RequestError
            When a field of the request has values of another type.
        """
        if not rows:
            return {feature.name: [] for feature in self._spec.features}
        # Copies: what a function does to its inputs must not change what is served of them.
        own = {name: copied(self._dtypes.get(name), values) for name, values in inputs.items()}
        arguments = data_frame(own, self._dtypes) if self._spec.mode == "pandas" else own
        try:
            columns = self._columns(arguments, rows)
            return {feature.name: _cast(feature, columns[feature.name]) for feature in self._spec.features}
        except OutputError as error:
            raise self._error(f"its function {error.problem}", error.remedy) from error
        except (Exception, SystemExit) as error:  # whatever the user's function raises, or what it returns
            problem = f"its function raises {type(error).__name__}: {shown(error)}"
            raise self._error(problem, "Let it cope with missing values") from error

    def _columns(self, inputs: Any, rows: int) -> dict[str, list[Any]]:
        names, view = [feature.name for feature in self._spec.features], self._spec.name
        if not self._spec.singleton:
            return columns_of(self._function(inputs), names, view, rows)
        by_row = [
            row_of(self._function(dict(zip(inputs, values, strict=True))), names, view)
            for values in zip(*inputs.values(), strict=True)
        ]
        return {name: [row[name] for row in by_row] for name in names}

    def _error(self, problem: str, remedy: str) -> DefinitionError:
        return DefinitionError(
            self._spec.file, f"on demand feature view '{self._spec.name}'", problem, remedy
        )


def _cast(feature: FieldSpec, values: Sequence[Any]) -> list[Any]:
    try:
        return [None if is_null(value) else cast_value(feature.dtype, value) for value in values]
    except Exception as error:  # of a value that may be anything
        raise OutputError(
            f"gives no {feature.dtype} for '{feature.name}' ({shown(error)})",
            "Correct the function or the type of the Field",
        ) from error
