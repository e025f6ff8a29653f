"""Makes `import feast` take a third of its time. Import this before anything of Feast.

Feast's classes are `@typechecked`: for each of more than 200 methods typeguard parses the whole file the
method stands in, at every import. What people write are calls of constructors and decorators. Those stay
checked, and so does everything that is not Feast's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import import_module
from typing import Any


def _but_methods_of_feast(instrument: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def instrumented(function: Any) -> Any:
        owner, _, name = function.__qualname__.rpartition(".")
        is_method = bool(owner) and not owner.endswith("<locals>")
        if is_method and name != "__init__" and function.__module__.startswith("feast."):
            return "a method of Feast"  # to typeguard a text is the reason why it leaves a function alone
        return instrument(function)

    return instrumented


# Without Feast there is no typeguard, and the import of Feast raises; with another typeguard, that import
# takes its time.
with contextlib.suppress(ModuleNotFoundError, AttributeError):
    _decorators: Any = import_module("typeguard._decorators")
    _decorators.instrument = _but_methods_of_feast(_decorators.instrument)
