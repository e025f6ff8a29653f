"""Entities with times that a training set is asked for, read from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from headrace.featurestore.offline.arrow_rows import arrow_type
from headrace.featurestore.offline.on_demand_columns import request_fields
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.feature_types import LOGGED_TYPES
from headrace.schemas.plan import Plan

TIME = "event_timestamp"
_UTC, _NAIVE = pa.timestamp("us", "UTC"), pa.timestamp("us")


def read_entities(file: Path, fields: Sequence[FieldSpec]) -> pa.Table:
    """Read entities with times from CSV or Parquet, with the column types of the plan.

    Parameters
    ----------
    file
        With a column ``event_timestamp`` (in CSV ISO 8601; without a zone it is UTC).
    fields
        The join keys that are needed, and the fields of the request.

    Raises
    ------
    HeadraceError
        When the file cannot be read, or lacks a column.
    """
    types = {f.name: arrow_type(f.dtype) for f in fields if f.dtype in LOGGED_TYPES}
    try:
        table = _read_csv(file, types) if file.suffix == ".csv" else pq.read_table(file)
        if len({*table.column_names}) < len(table.column_names):
            raise HeadraceError(
                f"{file}: a column is there twice ({', '.join(table.column_names)}); take one out"
            )
        for name in [*(field.name for field in fields), TIME]:
            if name not in table.column_names:
                raise HeadraceError(
                    f"{file}: there is no column '{name}' (found: {', '.join(table.column_names)}); add it"
                )
        for name, kind in types.items():
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    except (OSError, pa.ArrowException) as error:
        raise HeadraceError(
            f"{file} cannot be read: {error}; give entities as CSV or Parquet, in the types of the join keys"
        ) from error
    return table


def join_keys_of(plan: Plan, service: str) -> list[FieldSpec]:
    """List the join keys of a service, as it maps them, and of what its on-demand views read, each once."""
    return list(plan.request_keys(plan.service(service).features))


def request_fields_of(plan: Plan, service: str) -> list[FieldSpec]:
    """List the fields that the on-demand views of a service take from the request, each once."""
    return request_fields(plan, plan.service(service).features)


def _read_csv(file: Path, types: dict[str, pa.DataType]) -> pa.Table:
    options = pyarrow.csv.ConvertOptions(
        column_types=types | {TIME: _UTC}, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    try:
        return pyarrow.csv.read_csv(file, convert_options=options)
    except pa.ArrowInvalid:  # times without a zone
        times = {name: _NAIVE for name, kind in types.items() if pa.types.is_timestamp(kind)}
        options.column_types = types | times | {TIME: _NAIVE}
        return pyarrow.csv.read_csv(file, convert_options=options)
