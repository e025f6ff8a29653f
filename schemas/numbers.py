"""Ranges of the numbers that a plan holds.

They become sizes of arrays, divisors, numbers of topics' partitions and differences of times. A plan may come
from anyone who can write to Redis, so each number is checked wherever a plan is made or read.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from headrace.schemas.marks import MOST_PARTITIONS

LONGEST_MS: Final = 100 * 366 * 86_400_000  # a hundred years: no time that stores hold minus it overflows
MOST_TILES: Final = 1_441  # of a key and feature: a day by the minute
MOST_SECONDS: Final = 10**11  # three thousand years; Redis refuses what is beyond its clock
MOST_SCHEMA_ID: Final = 2**32 - 1  # four bytes of a record
PRECISIONS: Final = range(6, 15)  # of distinct counts
QUANTA: Final = (1e-100, 1e100)  # the least and the greatest: its square, and that of any sum, is a float64

SpanMs = Annotated[int, Field(ge=1, le=LONGEST_MS)]
SpanOrNoneMs = Annotated[int, Field(ge=0, le=LONGEST_MS)]
Seconds = Annotated[int, Field(ge=0, le=MOST_SECONDS)]
PartitionCount = Annotated[int, Field(ge=1, le=MOST_PARTITIONS)]
Tiles = Annotated[int, Field(ge=0, le=LONGEST_MS)]
SchemaId = Annotated[int, Field(ge=0, le=MOST_SCHEMA_ID)]
Precision = Annotated[int, Field(ge=PRECISIONS[0], le=PRECISIONS[-1])]
Quantum = Annotated[float, Field(ge=QUANTA[0], le=QUANTA[1])]
Share = Annotated[float, Field(ge=0, le=1)]
Discount = Annotated[float, Field(gt=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
