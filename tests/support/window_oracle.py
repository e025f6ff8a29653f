"""The naive oracle of the stream engine: plain Python, record by record, sharing no code with it.

It is told the log of every partition of an event topic and a description of the features, and computes what
every online value must be when everything has been read. Slow and obviously right.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from tests.support.sketch_oracle import distinct_of, percentile_of

RowUdf = Callable[[dict], dict | None]  # an event to a row of a view, None: filtered out; or it raises


@dataclass(frozen=True)
class OracleFeature:
    name: str
    function: str
    column: str
    window_ms: int
    hop_ms: int
    units_per_one: int = 1  # fixed-point units in 1.0
    dtype: str = "Float64"
    precision: int = 10


@dataclass(frozen=True)
class OracleEvent:
    """A log record: an event with its fields, a mark (`mark_ms`), or one that cannot be read (`broken`)."""

    offset: int
    appended_ms: int
    fields: dict | None = None
    mark_ms: int | None = None
    broken: bool = False


@dataclass
class OracleRules:
    time_field: str
    tile_ms: int
    late_tiles: int
    max_future_ms: int
    keys: tuple[str, ...]  # every join key of every view: none may be null
    udfs: tuple[RowUdf, ...] = ()  # those of all views: none may raise


@dataclass
class Judged:
    accepted: list[tuple[int, int, dict]] = field(default_factory=list)  # event time, offset, fields
    clock_ms: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict(applied=0, late=0, dead=0, marks=0))


def judge(log: list[OracleEvent], rules: OracleRules) -> Judged:
    judged = Judged()
    for record in log:
        if record.broken:
            judged.counts["dead"] += 1
            continue
        if record.mark_ms is not None:
            if record.mark_ms > record.appended_ms + rules.max_future_ms:
                judged.counts["dead"] += 1
            else:
                judged.counts["marks"] += 1
                if judged.clock_ms is None or record.mark_ms > judged.clock_ms:
                    judged.clock_ms = record.mark_ms
            continue
        event_ms = record.fields[rules.time_field]
        if (
            event_ms is None
            or any(record.fields[key] is None for key in rules.keys)
            or event_ms > record.appended_ms + rules.max_future_ms
            or any(raises(udf, record.fields) for udf in rules.udfs)
        ):
            judged.counts["dead"] += 1
        elif (
            judged.clock_ms is not None
            and event_ms // rules.tile_ms < judged.clock_ms // rules.tile_ms - rules.late_tiles
        ):
            judged.counts["late"] += 1
        else:
            judged.counts["applied"] += 1
            judged.accepted.append((event_ms, record.offset, record.fields))
            if judged.clock_ms is None or event_ms > judged.clock_ms:
                judged.clock_ms = event_ms
    return judged


def raises(udf: RowUdf, fields: dict) -> bool:
    try:
        udf(fields)
    except Exception:
        return True
    return False


def rows_of(accepted: list[tuple[int, tuple, dict]], udf: RowUdf | None) -> list[tuple[int, tuple, dict]]:
    """The records of a view: those its udf keeps, with the columns it derives."""
    if udf is None:
        return accepted
    made = [(event_ms, tie, udf(fields)) for event_ms, tie, fields in accepted]
    return [one for one in made if one[2] is not None]


def features_at(
    accepted: list[tuple[int, tuple, dict]],
    clock_ms: int,
    keys: tuple[str, ...],
    features: list[OracleFeature],
) -> dict[tuple, dict[str, object]]:
    """Key to feature values at a clock. Tuples are (event time, tie breaker, fields)."""
    by_key = defaultdict(list)
    for event_ms, tie, fields in accepted:
        by_key[tuple(fields[key] for key in keys)].append((event_ms, tie, fields))
    return {
        key: {feature.name: value_of(events, clock_ms, feature) for feature in features}
        for key, events in by_key.items()
    }


def value_of(events: list[tuple[int, tuple, dict]], clock_ms: int, feature: OracleFeature) -> object:
    first_ms = -math.inf  # a window of 0 is the lifetime
    if feature.window_ms:
        first_ms = (clock_ms - feature.window_ms) // feature.hop_ms * feature.hop_ms
    inside = []
    for event_ms, tie, fields in events:
        value = fields[feature.column]
        if event_ms >= first_ms and value is not None and value == value:
            inside.append((event_ms, tie, value))
    if feature.function == "count":
        return len(inside)
    if feature.function == "count_distinct":
        return distinct_of([value for _, _, value in inside], feature.precision)
    if not inside:
        return None
    values = [value for _, _, value in inside]
    if feature.function in ("sum", "mean") or feature.function.startswith(("var", "std")):
        return of_units([round(value * feature.units_per_one) for value in values], feature)
    if feature.function == "first":
        return min(inside, key=lambda one: (one[0], one[1]))[2]
    if feature.function == "min":
        return min(values) + 0  # of zeros of both signs 0.0
    if feature.function == "max":
        return max(values) + 0
    if feature.function == "last":
        return max(inside, key=lambda one: (one[0], one[1]))[2]
    if feature.function.startswith("last_"):
        newest = sorted(inside, key=lambda one: (one[0], one[1]), reverse=True)
        return [value for _, _, value in newest[: int(feature.function[5:])]]
    if feature.function[0] == "p":
        return percentile_of(values, int(feature.function[1:]))
    raise AssertionError(feature.function)


def of_units(units: list[int], feature: OracleFeature) -> float | int | None:
    """Sums and what is made of them, in whole numbers and fractions."""
    if feature.function == "sum" and feature.dtype.startswith("Int"):
        half = 2 ** (int(feature.dtype[3:]) - 1)
        return sum(units) if -half <= sum(units) < half else None
    total = float(sum(units)) / feature.units_per_one
    if feature.function == "sum":
        return total if abs(sum(units)) < 2**53 else None
    if feature.function == "mean":
        return total / len(units)
    degrees = len(units) - (0 if feature.function.endswith("_pop") else 1)
    if degrees < 1:
        return None
    mean = Fraction(sum(units), len(units))
    squares = sum(((unit - mean) ** 2 for unit in units), Fraction(0))
    variance = float(squares / degrees / feature.units_per_one**2)
    return math.sqrt(variance) if feature.function.startswith("std") else variance
