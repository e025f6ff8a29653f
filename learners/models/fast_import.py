"""Makes `import river` take two thirds of its time. Import this before anything of river.

To iterate over their data, `river.stream` imports scikit-learn, SQLAlchemy and vaex where they are installed,
and pandas with them. Here it imports each of them when it is asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_ITERATORS = {"iter_sklearn_dataset": "iter_sklearn", "iter_sql": "iter_sql", "iter_vaex": "iter_vaex"}


def _iterator(name: str) -> Any:
    """Import an iterator of `river.stream`: its ``__getattr__``."""
    if name not in _ITERATORS:
        raise AttributeError(f"module 'river.stream' has no attribute {name!r}")
    try:
        return getattr(import_module(f"river.stream.{_ITERATORS[name]}"), name)
    except ImportError as error:
        raise AttributeError(f"'river.stream.{name}' cannot be had here: {error}") from error


def _import_stream() -> None:
    held_back = {f"river.stream.{module}": None for module in _ITERATORS.values()}
    sys.modules.update(held_back)  # type: ignore[arg-type]  # who imports one of these is told that it is missing
    try:
        stream: Any = import_module("river.stream")
    except ModuleNotFoundError:  # without river, its import raises where it is used
        return
    finally:
        for module in held_back:
            del sys.modules[module]
    stream.__getattr__ = _iterator


if "river.stream" not in sys.modules:
    _import_stream()
