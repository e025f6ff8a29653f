"""Natural keys as text: the one form in which predictions and outcomes meet."""

from __future__ import annotations

import math

from headrace.schemas.errors import RecordError

_BOUND = 2**63  # of integers; floats from here on keep their own text


def natural_key(value: bool | int | float | str) -> str:
    """Return the text of a natural key. Values that are equal have one text, whatever number type has them.

    Texts and booleans stand for themselves.

    Raises
    ------
    RecordError
        When the value is no finite number, an integer of more than 64 bits, or a text that UTF-8 cannot hold.

    Examples
    --------
    >>> natural_key(7), natural_key(7.0), natural_key(7.5), natural_key(-0.0), natural_key("LH1")
    ('7', '7', '7.5', '0', 'LH1')
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        if not -_BOUND <= value < _BOUND:
            raise RecordError("the natural key is an integer of more than 64 bits; send it as text")
        return str(value)
    if not math.isfinite(value):
        raise RecordError(f"the natural key {value} is no finite number; send an id or a finite number")
    whole = value.is_integer() and abs(value) < _BOUND
    return str(int(value)) if whole else repr(value)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RecordError(
            f"the natural key {value!r} has half of a surrogate pair; send text that is whole"
        ) from error
    return value
