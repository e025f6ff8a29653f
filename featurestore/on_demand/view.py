"""An on-demand feature view, computed for all rows of a request at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.featurestore.on_demand.values import cast_value, data_frame, is_null
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

    def _call(self, inputs: Mapping[str, Sequence[Any]], rows: int) -> Any:
        if self._spec.mode == "pandas":
            return self._function(data_frame(inputs, self._dtypes))
        if not self._spec.singleton:
            return self._function({name: list(values) for name, values in inputs.items()})
        outputs = [
            self._function(dict(zip(inputs, values, strict=True)))
            for values in zip(*inputs.values(), strict=True)
        ]
        return {name: [row.get(name) for row in outputs] for name in outputs[0]}

    def _column(self, outputs: Any, feature: FieldSpec, rows: int) -> list[Any]:
        names = (feature.name, f"{self._spec.name}__{feature.name}")
        name = next((name for name in names if name in outputs), None)
        if name is None:
            raise self._error(f"its function gives no '{feature.name}'", f"Known: {', '.join(outputs)}")
        values = outputs[name]
        values = values.tolist() if hasattr(values, "tolist") else list(values)
        if len(values) != rows:
            raise self._error(
                f"its function gives {len(values)} values of '{feature.name}' for {rows} rows",
                "Give one per row",
            )
        try:
            return [None if is_null(value) else cast_value(feature.dtype, value) for value in values]
        except (TypeError, ValueError, OverflowError, OSError) as error:  # a time that no datetime holds
            raise self._error(
                f"its function gives no {feature.dtype} for '{feature.name}' ({error})",
                "Correct the function or the type of the Field",
            ) from error

    def _error(self, problem: str, remedy: str) -> DefinitionError:
        return DefinitionError(
            self._spec.file, f"on demand feature view '{self._spec.name}'", problem, remedy
        )
