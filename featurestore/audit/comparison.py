"""A served value against the recomputed one."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import Any

from headrace.schemas.feature_specs import AggregationSpec


@dataclass(frozen=True)
class Input:
    """What is known of an input: what it should have been, and how what was served compares with that."""

    value: Any
    kind: str


def compared(a: AggregationSpec, there: bool, got: Any, want: Any) -> Input:
    """What is equal within its stated error is taken to be as it was served."""
    if not there:
        missing = want not in (None, 0) or got is not None
        return Input(want, "missing") if missing else Input(got, "equal")
    return Input(got, "equal") if _same(a, got, want) else Input(want, "different")


def is_exact(a: AggregationSpec) -> bool:
    """Whether it is recomputed to the last bit."""
    return a.function != "count_distinct" and not re.match(r"p\d|var|std", a.function)


def _same(a: AggregationSpec, got: Any, want: Any) -> bool:
    """Equal to the last bit; within their stated errors for sketches, and for what SQL rounds twice."""
    if got is None or want is None:
        return got is want
    if a.function == "count_distinct":
        return bool(abs(got - want) <= max(2, 4 * 1.04 / math.sqrt(2**a.precision) * want))
    if a.function[0] == "p":
        return bool(abs(got - want) <= 0.06 * abs(want) + sys.float_info.min)
    if a.function.startswith(("var", "std")):
        return math.isclose(got, want, rel_tol=1e-9)
    return bool(got == want)
