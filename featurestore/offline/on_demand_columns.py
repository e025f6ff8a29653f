"""On-demand features of a training set, by the functions that serve them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.featurestore.batch.as_served import served_values
from headrace.featurestore.offline.arrow_rows import arrow_type
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.on_demand.step import OnDemandStep
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FeatureRef, FieldSpec
from headrace.schemas.feature_types import LOGGED_TYPES
from headrace.schemas.plan import Plan


def request_fields(plan: Plan, refs: Sequence[FeatureRef]) -> list[FieldSpec]:
    """List the fields that the on-demand views of these features take from the request, each once."""
    fields = [field for view in plan.on_demand_of(refs) for field in view.request]
    return list({field.name: field for field in fields}.values())


def add_on_demand(plan: Plan, refs: Sequence[FeatureRef], table: pa.Table, repo_dir: Path) -> pa.Table:
    """Append a column ``view__feature`` for each feature of the on-demand views of `refs`.

    Parameters
    ----------
    table
        Of shape (n, ...), with the join keys, the request's fields, and ``view__feature`` of all inputs.
    repo_dir
        The Feast repository, which has the functions. Each is called once, with all rows.

    Raises
    ------
    DefinitionError
        When a function cannot be had, or fails.
    HeadraceError
        When the table has a column already that a feature is called as.
    """
    functions = OnDemandFunctions(repo_dir)
    for view, view_name in plan.on_demand_named(refs):
        step = OnDemandStep(plan, view, functions, view_name)
        given = {name: table[name].to_pylist() for name in step.inputs}
        columns = {ref.full_name: _values(plan, ref, table[ref.full_name]) for ref in view.inputs}
        step.add(given, columns, {})
        for field in view.features:
            name = f"{view_name}__{field.name}"
            if name in table.column_names:
                raise HeadraceError(
                    f"column '{name}' would come from the entities and from view '{view_name}'; rename "
                    "that of the entities"
                )
            table = table.append_column(name, pa.array(columns[name], arrow_type(field.dtype)))
    return table


def _values(plan: Plan, ref: FeatureRef, column: pa.ChunkedArray) -> list[Any]:
    """The values of a feature in Python's types, as the function gets them where it serves."""
    dtype = plan.dtype_of(ref)
    if dtype in LOGGED_TYPES:
        values: list[Any] = column.to_pylist()
        return values
    return served_values(ref.full_name, dtype, column)
