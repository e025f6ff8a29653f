"""The count of values."""

from __future__ import annotations

import numpy as np

from headrace.schemas.feature_types import ValueType
from headrace.streams.aggregations.aggregation import Aggregation, Reading, Values


class Count(Aggregation):
    """The number of values that are not null."""

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        return ("Int64",)

    def read(self, reading: Reading) -> Values:
        counted = reading[self._counted]
        return counted, np.ones(len(counted), np.bool_)
