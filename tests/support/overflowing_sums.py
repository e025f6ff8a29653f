"""A plan of sums that can overflow, and which of them the oracle says do."""

from __future__ import annotations

from typing import Any

from headrace.schemas.feature_specs import AggregationSpec
from headrace.schemas.plan import Plan
from tests.support.expected_rows import rules_of
from tests.support.purchases import purchases_plan
from tests.support.window_oracle import Judged, OracleEvent, judge

WINDOWS = [(60, 10), (30, 30), (0, 0)]
SUMS = [
    ("sum", "items", "Int32", 1.0),
    ("sum", "items", "Int64", 1.0),
    ("sum", "amount", "Float64", 0.01),
    ("sum", "amount", "Float32", 0.01),
    ("mean", "amount", "Float64", 0.01),
    ("var", "amount", "Float64", 0.01),
]

LARGEST = (2**47 - 1) / 100


def plan_of_sums(shards: int = 2) -> Plan:
    plan = purchases_plan(shards=shards)
    aggregations = tuple(
        AggregationSpec(
            feature=f"{function}_{column}_{dtype}_{window_ms}_{hop_ms}", function=function, column=column,
            window_ms=window_ms, hop_ms=hop_ms, dtype=dtype, quantum=quantum,
        )
        for window_ms, hop_ms in WINDOWS
        for function, column, dtype, quantum in SUMS
    )  # fmt: skip
    views = tuple(view.model_copy(update={"aggregations": aggregations}) for view in plan.stream_views)
    return plan.model_copy(update={"stream_views": views})


def judged_by_oracle(plan: Plan, log: list[OracleEvent]) -> Judged:
    """The oracle, told that an amount of 2^47 quanta or more is no record."""
    sound = [
        OracleEvent(e.offset, e.appended_ms, broken=True)
        if e.fields and e.fields["amount"] is not None and abs(e.fields["amount"]) * 100 >= 2**47
        else e
        for e in log
    ]
    return judge(sound, rules_of(plan))


def is_unfit(name: str, values: dict[str, Any]) -> bool:
    """A sum is null although there is a mean of the same, or a sum of another type; null items are 0."""
    if not name.startswith("sum") or values[name] is not None:
        return False
    window = name.split("_", 3)[3]
    if "amount" in name:
        return values[f"mean_amount_Float64_{window}"] is not None
    return values[f"sum_items_Int64_{window}"] is not None


def unfit_of(rows: dict[tuple[str, tuple], dict[str, Any]]) -> set[tuple[str, tuple]]:
    """Feature and key of every sum that does not fit."""
    return {
        (f"{view}:{name}", key)
        for (view, key), values in rows.items()
        for name in values
        if is_unfit(name, values)
    }
