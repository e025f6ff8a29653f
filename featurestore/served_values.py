"""Columns of a table as they would be served: written into the online store and read from it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from featurestore.arrow_columns import read_column
from featurestore.ragged import join
from featurestore.redis_decoder import decode_values
from featurestore.redis_values import encode_values
from schemas.errors import HeadraceError
from schemas.feature_specs import ValueType


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
    pieces = encode_values(dtype, values, valid)
    lengths = sum((piece.lengths for piece in pieces), np.zeros(len(valid), np.int64))
    raw = join(pieces, len(valid))
    ends: list[int] = np.concatenate(([0], np.cumsum(lengths))).tolist()
    return decode_values([raw[start:end] for start, end in pairwise(ends)])
