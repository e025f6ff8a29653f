"""The status of a served value, as Feast has it."""

from __future__ import annotations

from enum import StrEnum


class FieldStatus(StrEnum):
    """Feast's field statuses. Only PRESENT comes with a value."""

    PRESENT = "PRESENT"
    NULL_VALUE = "NULL_VALUE"  # the row is there, the value is null
    NOT_FOUND = "NOT_FOUND"  # no row of this entity, or one from before the feature existed
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"  # older than the view's ttl
