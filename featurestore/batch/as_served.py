"""Columns of a table as the online store would serve them: encoded as its rows are, and decoded again."""

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
    """Convert the values of a feature to what `FeatureClient` gives: JSON parsed, maps as dicts.

    Parameters
    ----------
    name
        Of the feature, for errors.

    Raises
    ------
    HeadraceError
        When the column is of another type.

    Examples
    --------
    >>> served_values("info", "Json", pa.chunked_array([['{"a": 1}', None]]))
    [{'a': 1}, None]
    """
    try:
        values, valid = read_column(dtype, column)
    except (ValueError, pa.ArrowException) as error:
        raise HeadraceError(
            f"values of feature '{name}' do not fit type {dtype}: {error}; correct the table or the Field"
        ) from error
    return decode_values(split_rows(encode_values(dtype, values, valid), len(valid)))
