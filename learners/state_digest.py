"""A digest of what a model has learned, equal for equal states in any process."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
from typing import Any


def state_digest(model: object) -> str:
    """SHA-256, in hex, of a canonical serialisation of a model.

    Pickles of equal models differ: by which equal strings are one object, by the order of sets, by random
    generators nobody draws from. Here constants are written out, sets are sorted, and the generators that
    river's distributions keep for sampling (never seeded, never used in learning) are left out.
    """
    return hashlib.sha256(_canonical(model)).hexdigest()


def _canonical(value: object) -> bytes:
    buffer = io.BytesIO()
    _CanonicalPickler(buffer).dump(value)
    return buffer.getvalue()


_PLAIN = frozenset({float, int, bool, bytes, dict, list, type(None)})


class _CanonicalPickler(pickle.Pickler):
    """Writes one byte string for all objects that are equal in type and content."""

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=5)
        self._generators: dict[int, int] = {}

    def persistent_id(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:  # nearly everything in a model is
            return None
        if kind is set or kind is frozenset:
            return ["set", *sorted(_canonical(v) for v in value)]
        if kind is random.Random:
            return self._generator(value)
        if kind.__module__.startswith("river.proba") and hasattr(value, "_rng"):
            return [kind.__name__, {k: v for k, v in vars(value).items() if k != "_rng"}]
        return self._unshared(value, kind)

    def _generator(self, value: random.Random) -> list[Any]:
        """The state of a generator once, and then its number: many nodes share one."""
        if (known := self._generators.get(id(value))) is not None:
            return ["generator", known]
        self._generators[id(value)] = len(self._generators)
        return ["generator", hashlib.sha256(repr(value.getstate()).encode()).digest()]

    @staticmethod
    def _unshared(value: Any, kind: type) -> Any:
        """A fresh equal of a constant, since which constants are one object differs between processes."""
        if kind is str:
            return bytearray(value.encode())
        if kind is tuple and value:
            return list(value)
        return None
