"""The aggregations, one in a file: see docs/aggregations.md for how to add one."""

from __future__ import annotations

from schemas.errors import PlanError
from schemas.plan import AggregationSpec
from streams.aggregations.aggregation import Aggregation, Reading, Values
from streams.aggregations.count import Count
from streams.aggregations.edge import First, Last
from streams.aggregations.extreme import Max, Min
from streams.aggregations.sum import Mean, Sum
from streams.aggregations.variance import Deviation, PopulationDeviation, PopulationVariance, Variance

__all__ = ["AGGREGATIONS", "Aggregation", "Reading", "Values", "aggregation_of"]

AGGREGATIONS: dict[str, type[Aggregation]] = {
    "count": Count,
    "sum": Sum,
    "mean": Mean,
    "min": Min,
    "max": Max,
    "first": First,
    "last": Last,
    "var": Variance,
    "std": Deviation,
    "var_pop": PopulationVariance,
    "std_pop": PopulationDeviation,
}


def aggregation_of(spec: AggregationSpec) -> Aggregation:
    """The aggregation of a feature.

    Raises
    ------
    PlanError
        When the plan is of a Headrace that knows more functions.
    """
    if spec.function not in AGGREGATIONS:
        raise PlanError(
            f"feature '{spec.feature}': function '{spec.function}' is unknown to this Headrace; "
            "run the version that `headrace apply` ran"
        )
    return AGGREGATIONS[spec.function](spec)
