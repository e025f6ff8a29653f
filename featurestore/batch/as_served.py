"""Columns of a table as they would be served: written into the online store and read from it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from headrace.featurestore.batch.arrow_columns import read_column
from headrace.featurestore.redis_codec.byte_columns import split_rows
from headrace.featurestore.redis_codec.column_values import encode_values
from headrace.featurestore.redis_codec.decoder import decode_values
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_types import ValueType


def served_values(name: str, dtype: ValueType, column: pa.ChunkedArray) -> list[Any]:
    """The values of a feature as `FeatureClient` gives them: JSON as what it says, maps as dicts.

    Raises
    ------
    HeadraceError
        When the column is of another type.
    """
    try:
        values, valid = read_column(dtype, column)
    except (ValueError, pa.ArrowException) as error:
        raise HeadraceError(
            f"values of feature '{name}' do not fit type {dtype}: {error}; correct the table or the Field"
        ) from error
    return decode_values(split_rows(encode_values(dtype, values, valid), len(valid)))
