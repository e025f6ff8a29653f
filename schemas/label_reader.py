"""Labels as they come in, checked against the target that they are of."""

from __future__ import annotations

import difflib
import math
from typing import Final

from headrace.schemas.domains import DomainSpec
from headrace.schemas.errors import LabelError
from headrace.schemas.natural_keys import natural_key
from headrace.schemas.records import MOST_LABEL
from headrace.schemas.router_specs import RouterSpec

Label = float | str
_SHOWN: Final = 60  # characters of a label in a message
_LISTED: Final = 12  # classes in a message


def read_router_label(router: RouterSpec, value: object) -> Label:
    """Return a value as a label of a router's outcome; raises `LabelError`.

    An outcome that is one part of a sum may have any number within 2**53.
    """
    if router.duplicates == "sum":
        return _number(router.target, value)
    return read_label(router.target, router.domain, value)


def read_label(target: str, domain: DomainSpec, value: object) -> Label:
    """Return a value as a label of a target.

    A number that is written as text is the number. A whole number is the class of its digits.

    Parameters
    ----------
    target
        Its name, for messages.
    domain
        Kind, range and classes.
    value
        Of an event, or of a request.

    Raises
    ------
    LabelError
        When the value is none.

    Examples
    --------
    >>> reasons = DomainSpec(kind="category", classes=("carrier", "weather"))
    >>> read_label("reason", reasons, "weather"), read_label("delayed", DomainSpec(), True)
    ('weather', 1.0)
    >>> read_label("reason", reasons, "wether")
    Traceback (most recent call last):
    headrace.schemas.errors.LabelError: 'wether' is not among the classes of target 'reason'. Send one \
of: carrier, weather; did you mean 'weather'?
    """
    if domain.kind == "category":
        return _class(target, domain, value)
    number = _number(target, value)
    if domain.kind == "binary":
        if number not in (0.0, 1.0):
            remedy = (
                "Send 0 or 1; or declare what it is: "
                f"Target('{target}', kind='number', low=…, high=…) or kind='category', classes=(…)"
            )
            raise LabelError(f"{number:g} is neither 0 nor 1, and target '{target}' is binary", remedy)
    elif not domain.has(number):
        remedy = "Send a number within, or widen `low` and `high` of the target and run `headrace apply`"
        raise LabelError(f"{number:g} is outside {domain.low:g} to {domain.high:g} of '{target}'", remedy)
    return number


def _number(target: str, value: object) -> float:
    remedy = f"Send a number: target '{target}' is one"
    try:
        number = float(value)  # type: ignore[arg-type]  # what has no float raises
    except (TypeError, ValueError, OverflowError):
        text = f"{_shown(value)} is no number, and target '{target}' has numbers as labels"
        raise LabelError(text, f"Send one; texts are labels of Target('{target}', kind='category')") from None
    if not math.isfinite(number):
        raise LabelError(f"{number} is not finite", remedy)
    if abs(number) > MOST_LABEL:
        raise LabelError(f"{number} is beyond 2**53, where neighbouring numbers are one", remedy)
    return number


def _class(target: str, domain: DomainSpec, value: object) -> str:
    found = value
    if isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value):
        found = natural_key(value)
    if isinstance(found, str) and found in domain.classes:
        return found
    near = difflib.get_close_matches(str(found)[:_SHOWN], domain.classes, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ", or add it to `classes` and run `headrace apply`"
    listed = ", ".join(domain.classes[:_LISTED]) + (", …" if len(domain.classes) > _LISTED else "")
    problem = f"{_shown(value)} is not among the classes of target '{target}'"
    raise LabelError(problem, f"Send one of: {listed}{hint}")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
