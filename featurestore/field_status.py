"""The status of a served value, as Feast has it."""

from __future__ import annotations

from enum import StrEnum


class FieldStatus(StrEnum):
    """Feast's field statuses, which compare equal to their names. Only PRESENT comes with a value.

    >>> FieldStatus.OUTSIDE_MAX_AGE == "OUTSIDE_MAX_AGE"
    True
    """

    PRESENT = "PRESENT"
    NULL_VALUE = "NULL_VALUE"  # the row exists, the value is null
    NOT_FOUND = "NOT_FOUND"  # the entity has no row, or a row older than the feature
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"  # the row is older than the view's ttl
