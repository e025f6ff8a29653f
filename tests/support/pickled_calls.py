"""Pickles that run something when they are loaded."""

from __future__ import annotations

from typing import Any


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call
