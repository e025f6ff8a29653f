"""Stream feature views without aggregations, whose fields Feast passes through as they come."""

from __future__ import annotations

from typing import Any

from feast.aggregation import Aggregation


def aggregations_of(view: Any) -> list[Any]:
    """Return the aggregations of a view; of one without any the last value of each field of its schema."""
    passed = (Aggregation(column=field.name, function="last", name=field.name) for field in view.features)
    return [*(view.aggregations or passed)]
