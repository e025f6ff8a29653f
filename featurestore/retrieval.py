"""A request for features, prepared once: which hashes and fields to read, and what the answers mean."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

from featurestore import redis_layout as layout
from featurestore.redis_decoder import Provenance, decode_provenance, decode_time_ms, decode_values
from featurestore.response import FeatureResponse, FieldStatus
from schemas.errors import HeadraceError, UnknownNameError
from schemas.plan import FeatureRef, FieldSpec, Plan

EntityRows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]
Reply = Sequence[bytes | None]
_INTEGER_KEYS = {"Int32": struct.Struct("<IIi"), "Int64": struct.Struct("<IIq")}


@dataclass(frozen=True)
class _ViewSlice:
    """Where a view's fields stand in a reply: its features from `start` on, then ``_ts``, then provenance."""

    view: str
    ttl_ms: int
    start: int
    columns: tuple[str, ...]


class _EntityGroup:
    """The views that share their join keys, and so their hashes: each entity is read once for all of them."""

    def __init__(
        self, plan: Plan, keys: tuple[FieldSpec, ...], refs: Sequence[FeatureRef], full: bool
    ) -> None:
        self.keys = keys
        self.slices: list[_ViewSlice] = []
        fields: list[bytes] = []
        for view in dict.fromkeys(ref.view for ref in refs):
            own = [ref for ref in refs if ref.view == view]
            names = tuple(ref.full_name if full else ref.feature for ref in own)
            self.slices.append(_ViewSlice(view, plan.view(view).ttl_ms, len(fields), names))
            fields += [layout.feature_field(view, ref.feature) for ref in own]
            fields += [layout.timestamp_field(view), layout.provenance_field(view)]
        self._prefix = layout.key_prefix([key.name for key in keys])
        self._project = plan.project.encode()
        self._head = b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(fields))
        self._tail = b"".join(b"\r\n$%d\r\n%s" % (len(field), field) for field in fields) + b"\r\n"

    def redis_keys(self, entities: Mapping[str, Sequence[Any]]) -> list[bytes]:
        parts = [_encoded(key, entities[key.name]) for key in self.keys]
        if len(parts) == 1:
            return [self._prefix + part + self._project for part in parts[0]]
        return [self._prefix + b"".join(row) + self._project for row in zip(*parts, strict=True)]

    def command(self, key: bytes) -> bytes:
        return b"%s$%d\r\n%s%s" % (self._head, len(key), key, self._tail)


class Retrieval:
    """A prepared request.

    Parameters
    ----------
    plan
        Where names are looked up.
    features
        Name of a feature service, or ``view:feature`` names.
    full_feature_names
        Whether columns are called ``view__feature``; else ``feature``.

    Raises
    ------
    UnknownNameError
        When the service, a view or a feature is not in the plan.
    HeadraceError
        When short names of two features are the same.
    """

    def __init__(self, plan: Plan, features: str | Sequence[str], full_feature_names: bool = True) -> None:
        refs = plan.service(features).features if isinstance(features, str) else _refs(plan, features)
        names = [ref.full_name if full_feature_names else ref.feature for ref in refs]
        for name in names:
            if names.count(name) > 1:
                raise HeadraceError(
                    f"feature '{name}' is asked for twice; ask once, and with full_feature_names=True "
                    "where two views have a feature of that name"
                )
        self._columns = names
        grouped: dict[tuple[FieldSpec, ...], list[FeatureRef]] = {}
        for ref in refs:
            grouped.setdefault(plan.view(ref.view).join_keys, []).append(ref)
        self._groups = [_EntityGroup(plan, keys, own, full_feature_names) for keys, own in grouped.items()]
        self.join_keys = list(dict.fromkeys(key.name for keys in grouped for key in keys))

    def prepare(self, entity_rows: EntityRows) -> Request:
        """The commands that read the features of these rows.

        Raises
        ------
        UnknownNameError
            When a join key is missing.
        HeadraceError
            When a join key has a value of another type, or columns differ in length.
        """
        entities = _as_columns(entity_rows, self.join_keys)
        keys = [group.redis_keys(entities) for group in self._groups]
        distinct = [list(dict.fromkeys(own)) for own in keys]
        commands = [
            group.command(key) for group, own in zip(self._groups, distinct, strict=True) for key in own
        ]
        return Request(self, entities, keys, distinct, b"".join(commands), len(commands))

    def respond(self, request: Request, replies: Sequence[Reply], now_ms: int) -> FeatureResponse:
        """The response, from one reply per command."""
        columns: dict[str, list[Any]] = {}
        statuses: dict[str, list[FieldStatus]] = {}
        provenance: dict[str, list[Provenance | None]] = {}
        at = 0
        for group, keys, distinct in zip(self._groups, request.keys, request.distinct, strict=True):
            own: Sequence[Reply] = replies[at : at + len(distinct)]
            at += len(distinct)
            if len(distinct) < len(keys):
                by_key = dict(zip(distinct, own, strict=True))
                own = [by_key[key] for key in keys]
            for part in group.slices:
                _read_view(part, own, now_ms, columns, statuses)
                last = part.start + len(part.columns) + 1
                provenance[part.view] = [decode_provenance(reply[last]) for reply in own]
        ordered = {name: columns[name] for name in self._columns}
        return FeatureResponse(
            request.entities, ordered, {name: statuses[name] for name in ordered}, provenance
        )


@dataclass(frozen=True)
class Request:
    """Commands in the Redis protocol, `count` of them, and what is needed to read their replies."""

    retrieval: Retrieval
    entities: dict[str, list[Any]]
    keys: list[list[bytes]]
    distinct: list[list[bytes]]
    commands: bytes
    count: int

    def respond(self, replies: Sequence[Reply], now_ms: int) -> FeatureResponse:
        return self.retrieval.respond(self, replies, now_ms)


def _read_view(
    part: _ViewSlice,
    replies: Sequence[Reply],
    now_ms: int,
    columns: dict[str, list[Any]],
    statuses: dict[str, list[FieldStatus]],
) -> None:
    times, width = part.start + len(part.columns), len(part.columns)
    expired: set[int] = set()
    if part.ttl_ms:
        oldest = now_ms - part.ttl_ms
        found = ((row, reply[times]) for row, reply in enumerate(replies))
        expired = {row for row, time in found if time is not None and decode_time_ms(time) < oldest}
    cells = [cell for reply in replies for cell in reply[part.start : times]]  # row by row
    values = decode_values(cells)
    complete = not expired and None not in values
    for position, name in enumerate(part.columns):
        columns[name] = column = values[position::width]
        if complete:
            statuses[name] = [FieldStatus.PRESENT] * len(column)
            continue
        statuses[name] = _statuses(cells[position::width], column, expired)
        for row in expired:
            column[row] = None


def _statuses(raw: Sequence[bytes | None], values: Sequence[Any], expired: set[int]) -> list[FieldStatus]:
    found = []
    for row, (stored, value) in enumerate(zip(raw, values, strict=True)):
        if stored is None:
            found.append(FieldStatus.NOT_FOUND)
        elif row in expired:
            found.append(FieldStatus.OUTSIDE_MAX_AGE)
        else:
            found.append(FieldStatus.NULL_VALUE if value is None else FieldStatus.PRESENT)
    return found


def _refs(plan: Plan, features: Sequence[str]) -> list[FeatureRef]:
    refs = []
    for name in features:
        view, _, feature = name.partition(":")
        known = [field.name for field in plan.view(view).features]
        if feature not in known:
            raise UnknownNameError(f"feature of view '{view}'", feature, known)
        refs.append(FeatureRef(view=view, feature=feature))
    return refs


def _as_columns(rows: EntityRows, join_keys: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name in join_keys:
        try:
            columns[name] = list(rows[name]) if isinstance(rows, Mapping) else [row[name] for row in rows]
        except KeyError:
            given = rows if isinstance(rows, Mapping) else next(row for row in rows if name not in row)
            raise UnknownNameError("join key", name, list(given)) from None
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"'{name}' has {len(values)}" for name, values in columns.items())
        raise HeadraceError(f"entity columns differ in length ({lengths}); give one value per row in each")
    return columns


def _encoded(key: FieldSpec, values: Sequence[Any]) -> list[bytes]:
    """Type, length and value of a join key, for each row."""
    try:
        if key.dtype == "String":
            kind, pack = layout.FIELD_NUMBERS["String"], struct.Struct("<II").pack
            texts = [value.encode() for value in values]
            return [pack(kind, len(text)) + text for text in texts]
        number = _INTEGER_KEYS[key.dtype]
        kind, size = layout.FIELD_NUMBERS[key.dtype], number.size - 8
        return [number.pack(kind, size, value) for value in values]
    except (AttributeError, TypeError, struct.error) as error:
        expected = {"String": "text", "Int32": "32-bit integers", "Int64": "64-bit integers"}[key.dtype]
        raise HeadraceError(f"join key '{key.name}' takes {expected}; {_first_bad(key, values)}") from error


def _first_bad(key: FieldSpec, values: Sequence[Any]) -> str:
    bound = 2**31 if key.dtype == "Int32" else 2**63
    for row, value in enumerate(values):
        good = isinstance(value, str) if key.dtype == "String" else _fits(value, bound)
        if not good:
            return f"row {row} has {value!r}"
    return "one row has another value"


def _fits(value: Any, bound: int) -> bool:
    try:
        return -bound <= index(value) < bound
    except TypeError:
        return False
