"""Aggregations, one in a file. docs/guides/aggregations.md says how to add one."""

from __future__ import annotations

from headrace.schemas.errors import PlanError
from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations.aggregation import Aggregation, ListValues, Reading, Values
from headrace.streams.aggregations.count import Count
from headrace.streams.aggregations.distinct import DEFAULT_PRECISION, CountDistinct
from headrace.streams.aggregations.edge import First, Last
from headrace.streams.aggregations.extreme import Max, Min
from headrace.streams.aggregations.last_k import FUNCTIONS as LAST_K
from headrace.streams.aggregations.percentile import P50, P75, P90, P95, P99
from headrace.streams.aggregations.sum import Mean, Sum
from headrace.streams.aggregations.variance import (
    Deviation,
    PopulationDeviation,
    PopulationVariance,
    Variance,
)

__all__ = [
    "AGGREGATIONS",
    "DEFAULT_PRECISION",
    "LAST_K",
    "Aggregation",
    "ListValues",
    "Reading",
    "Values",
    "aggregation_of",
]

AGGREGATIONS: dict[str, type[Aggregation]] = {
    "count": Count,
    "sum": Sum,
    "mean": Mean,
    "min": Min,
    "max": Max,
    "first": First,
    "last": Last,
    "count_distinct": CountDistinct,
    "p50": P50,
    "p75": P75,
    "p90": P90,
    "p95": P95,
    "p99": P99,
    "var": Variance,
    "std": Deviation,
    "var_pop": PopulationVariance,
    "std_pop": PopulationDeviation,
    **LAST_K,
}


def aggregation_of(spec: AggregationSpec) -> Aggregation:
    """Return the aggregation of a feature.

    Raises
    ------
    PlanError
        When the function does not exist in this version of Headrace.

    Examples
    --------
    >>> spec = AggregationSpec(
    ...     feature="spent_1h", function="sum", column="amount", window_ms=3_600_000, hop_ms=300_000,
    ...     dtype="Float64", quantum=0.01,
    ... )
    >>> aggregation = aggregation_of(spec)
    >>> [accumulator.name for accumulator in aggregation.accumulators]
    ['Totals(amount, Counted())', 'Totals(amount, Quanta(fixed=FixedPoint(quantum=0.01)))']

    Over the window of one key there were 3 values, with a sum of 1,250 quanta:

    >>> import numpy as np
    >>> limbs = {0: np.array([3]), 1: np.array([[1250, 0]])}
    >>> reading = {(a.name, 3_600_000): limbs[n] for n, a in enumerate(aggregation.accumulators)}
    >>> aggregation.read(reading)
    (array([12.5]), array([ True]))
    """
    if spec.function not in AGGREGATIONS:
        raise PlanError(
            f"feature '{spec.feature}': function '{spec.function}' is unknown to this Headrace; "
            "run the version that `headrace apply` ran"
        )
    return AGGREGATIONS[spec.function](spec)
