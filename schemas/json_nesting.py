"""How deeply JSON may be nested: the same wherever it is read, however much of the stack is in use there."""

from __future__ import annotations

import json
import re
from typing import Any, Final

MAX_DEPTH: Final = 256
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def nested_too_deep(raw: bytes) -> bool:
    """Whether arrays and objects are nested deeper than `MAX_DEPTH`.

    A parser's own limit depends on its stack; the result for a text must not.
    """
    if len(raw) <= MAX_DEPTH or raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _TOKEN.finditer(raw):
        first = token[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            return True
    return False


def parse_json(text: str) -> Any:
    """Parse JSON, which whoever reads it after us can parse as well.

    Raises
    ------
    ValueError
        When it is none, or nested deeper than `MAX_DEPTH`.

    Examples
    --------
    >>> parse_json('{"a": [1]}')
    {'a': [1]}
    >>> parse_json("[" * 257 + "]" * 257)
    Traceback (most recent call last):
    ValueError: it is nested deeper than 256 levels
    """
    if nested_too_deep(text.encode()):
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    return json.loads(text)
