"""A served value against the one that was recomputed from the log."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import Any, Literal, get_args

from headrace.schemas.feature_specs import AggregationSpec

Outcome = Literal["equal", "different", "missing", "unchecked"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Comparison:
    """The outcome for one stored feature of one prediction.

    Attributes
    ----------
    value
        The value that should have been served.
    outcome
        ``missing``: there was no row, although the log has events of its key. ``unchecked``: the log does not
        reach back far enough, or the value was not logged and is recomputed only approximately.
    """

    value: Any
    outcome: Outcome


def compare(aggregation: AggregationSpec, has_row: bool, served: Any, recomputed: Any) -> Comparison:
    """Compare a served value with the recomputed one.

    A value that is equal within the stated error of its function counts as served, so that what is computed
    from it can be checked exactly.

    Parameters
    ----------
    has_row
        Whether the online store had a row of the view for the entity.

    Examples
    --------
    >>> count = AggregationSpec(
    ...     feature="n", function="count", column="x", window_ms=60, hop_ms=10, dtype="Int64"
    ... )
    >>> compare(count, True, 3, 3)
    Comparison(value=3, outcome='equal')
    >>> compare(count, True, 3, 4)
    Comparison(value=4, outcome='different')
    >>> compare(count, False, None, 4)
    Comparison(value=4, outcome='missing')
    >>> compare(count, False, None, 0)
    Comparison(value=None, outcome='equal')
    """
    if not has_row:
        missing = recomputed not in (None, 0) or served is not None
        return Comparison(recomputed, "missing") if missing else Comparison(served, "equal")
    if _is_equal(aggregation, served, recomputed):
        return Comparison(served, "equal")
    return Comparison(recomputed, "different")


def is_exact(aggregation: AggregationSpec) -> bool:
    """Whether SQL recomputes the function to the last bit."""
    return aggregation.function != "count_distinct" and not re.match(r"p\d|var|std", aggregation.function)


def _is_equal(aggregation: AggregationSpec, served: Any, recomputed: Any) -> bool:
    """Compare to the last bit; sketches within their stated errors, and within 1e-9 what SQL rounds twice."""
    if served is None or recomputed is None:
        return served is recomputed
    if isinstance(recomputed, int | float) and not isinstance(served, int | float):
        return False  # of a prediction that `serve` did not write
    if aggregation.function == "count_distinct":
        error = max(2, 4 * 1.04 / math.sqrt(2**aggregation.precision) * recomputed)
        return bool(abs(served - recomputed) <= error)
    if aggregation.function[0] == "p":
        return bool(abs(served - recomputed) <= 0.06 * abs(recomputed) + sys.float_info.min)
    if aggregation.function.startswith(("var", "std")):
        return math.isclose(served, recomputed, rel_tol=1e-9)
    return bool(served == recomputed)
