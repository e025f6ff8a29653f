"""Fingerprint of a source's views: a hash of all that their state follows from."""

from __future__ import annotations

from typing import Any

from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.schemas.follows_from import digest, meaning
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

    State and blocks of another definition are ignored, so that a changed view is rebuilt from the topic. Made
    of the fields that `headrace.schemas.follows_from` names, and of how accumulators are encoded.
    """
    events = meaning(source, "state")
    refusing = events.pop("expectations")  # last, so that definitions without any keep the hash they had
    held = [each for view in plan.views_of(source.name) for each in _held(view)]
    formats = sorted({each.kind.state_format for each in held} - {1})
    codes = sorted({code for each in held for code in each.codes} - _FIRST_CODES)
    views = [_meaning(view) for view in plan.views_of(source.name)]
    return digest([events, views, *formats, *codes, *refusing])


def _held(view: StreamViewSpec) -> list[AccumulatorSpec]:
    return [held for spec in view.aggregations for held in aggregation_of(spec).accumulators]


def _meaning(view: StreamViewSpec) -> dict[str, Any]:
    fields = meaning(view, "state")
    if view.udf is None:
        del fields["udf"]  # views without one keep the definition they had
    return fields
