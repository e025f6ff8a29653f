"""Fingerprint of a source's views: a hash of all that gives their state its meaning."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.aggregations import aggregation_of
from headrace.streams.aggregations.accumulator import AccumulatorSpec

# Definitions that were hashed before codes went into the hash keep their state.
_FIRST_CODES = frozenset(
    {
        "Buckets", "Counted", "Earliest", "Greatest", "Latest", "Least", "Precision", "Quanta", "Recent",
        "Registers", "Squares", "Totals",
    }
)  # fmt: skip


def definition_of(plan: Plan, source: SourceSpec) -> str:
    """Return the fingerprint of a source's views, 12 hexadecimal digits.

    State and blocks of another definition are ignored, so that a changed view is rebuilt from the topic.
    """
    views = [_meaning(view) for view in plan.views_of(source.name)]
    # A writer schema says how bytes are read, not what views mean: one more must not empty their windows.
    # Nor do expectations, unless they refuse records.
    events = source.model_dump(mode="json", exclude={"writer_schemas", "expectations"})
    refusing = [e.model_dump(mode="json") for e in source.expectations if e.quarantine]
    held = [each for view in plan.views_of(source.name) for each in _held(view)]
    formats = sorted({each.kind.state_format for each in held} - {1})
    codes = sorted({code for each in held for code in each.codes} - _FIRST_CODES)
    text = json.dumps([events, views, *formats, *codes, *refusing], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _held(view: StreamViewSpec) -> list[AccumulatorSpec]:
    return [held for spec in view.aggregations for held in aggregation_of(spec).accumulators]


def _meaning(view: StreamViewSpec) -> dict[str, Any]:
    without = {"ttl_ms"} if view.udf else {"ttl_ms", "udf"}  # views without one keep the definition they had
    return view.model_dump(mode="json", exclude=without)
