"""A digest of a model's learned state, equal for equal states in any process."""

from __future__ import annotations

import functools
import hashlib
import marshal
import random
from copyreg import _slotnames  # type: ignore[attr-defined]
from types import BuiltinFunctionType, FunctionType
from typing import Any

_SCALARS = frozenset({float, int, bool, str, bytes, type(None)})
_NAMED = (type, FunctionType, BuiltinFunctionType)
_MARSHAL = 2  # the newest version that does not write which equal constants are one object


def state_digest(model: object) -> str:
    """Return the SHA-256, in hex, of a canonical form of a model.

    Pickles of equal models differ: by which equal strings are one object, by the order of sets, by random
    generators nobody draws from. Here a model becomes nested lists and dicts of constants, in which sets are
    sorted and an object that occurs again is the number of its first occurrence. The generators that river's
    distributions keep for sampling (never seeded, never used in learning) are left out.

    Examples
    --------
    >>> from river import linear_model
    >>> model = linear_model.LogisticRegression()
    >>> before, copy = state_digest(model), model.clone()
    >>> state_digest(copy) == before
    True
    >>> model.learn_one({"amount": 1.0}, True)
    >>> state_digest(model) == before
    False
    """
    return hashlib.sha256(marshal.dumps(_Canonical().of(model), _MARSHAL)).hexdigest()


class _Canonical:
    """Turns objects into constants that marshal writes; visits the attributes that pickle would."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no id is given to another object

    def of(self, value: Any) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is dict:
            return self._dict(value)
        if kind is list or kind is tuple:
            return [self.of(item) for item in value]
        if kind is set or kind is frozenset:
            return ["set", sorted(marshal.dumps(self.of(item), _MARSHAL) for item in value)]
        if isinstance(value, _NAMED):
            return f"{value.__module__}.{value.__qualname__}"
        if (seen := self._seen.get(id(value))) is not None:
            return ["again", seen]
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        return self._instance(value, kind)

    def _dict(self, value: dict[Any, Any]) -> Any:
        if _SCALARS.issuperset(map(type, value.values())) and _SCALARS.issuperset(map(type, value)):
            return value
        return [(self.of(key), self.of(item)) for key, item in value.items()]

    def _instance(self, value: Any, kind: type) -> Any:
        if kind is random.Random:
            return ["generator", repr(value.getstate())]
        name = f"{kind.__module__}.{kind.__qualname__}"
        if (slots := _plain_slots(kind)) is None:
            return [name, self._reduced(value)]
        state = dict(getattr(value, "__dict__", ()))
        if kind.__module__.startswith("river.proba"):
            state.pop("_rng", None)
        held = [self.of(getattr(value, slot, None)) for slot in slots]
        return [name, held, self._dict(state)]

    def _reduced(self, value: Any) -> Any:
        """Return the parts that an object tells pickle to keep."""
        reduced = value.__reduce_ex__(5)
        if isinstance(reduced, str):
            return reduced
        made_by, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        return [*map(self.of, (made_by, arguments, state, list(items or ()))), self._dict(dict(pairs or ()))]


@functools.cache
def _plain_slots(kind: type) -> tuple[str, ...] | None:
    """Return the slots of a class whose instances are their attributes; None where pickling is its own."""
    own = any(getattr(kind, name) is not getattr(object, name) for name in ("__reduce_ex__", "__reduce__"))
    own |= getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None)
    if own or issubclass(kind, dict | list | tuple | set | frozenset | bytearray):
        return None
    return tuple(_slotnames(kind))
