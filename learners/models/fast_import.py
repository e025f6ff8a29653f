"""Makes `import river` take a third of its time. Import this before anything of river.

To iterate over their data, `river.stream` imports scikit-learn, SQLAlchemy and vaex where they are installed,
and pandas with them. Three modules that nearly all others import take one function each of `scipy.stats`,
which is as large as river. Here each of these is imported when it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_ITERATORS = {"iter_sklearn_dataset": "iter_sklearn", "iter_sql": "iter_sql", "iter_vaex": "iter_vaex"}
_STATS = "scipy.stats"
_OF_STATS = {"river.drift.kswin", "river.proba.gaussian", "river.tree.stochastic_gradient_tree"}


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


class _OfStats:
    """A function or distribution of `scipy.stats`, which is imported once this is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return getattr(import_module(_STATS), self._name)(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(import_module(_STATS), self._name), name)


class _WithoutStats(PathFinder):
    """Loads modules of river that find a module of such functions in the place of `scipy.stats`."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = super().find_spec(fullname, path, target) if fullname in _OF_STATS else None
        if spec is None or spec.loader is None or _STATS in sys.modules:
            return spec
        loader: Any = spec.loader
        run = loader.exec_module

        def run_without(module: ModuleType) -> None:
            stats: Any = ModuleType(_STATS)
            stats.__getattr__ = _OfStats
            sys.modules[_STATS] = stats
            try:
                run(module)
            finally:
                del sys.modules[_STATS]

        loader.exec_module = run_without
        return spec


sys.meta_path.insert(0, _WithoutStats)
if "river.stream" not in sys.modules:
    _import_stream()
