"""A request for features, prepared once: which hashes and fields to read, and what the answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.on_demand.step import OnDemandStep
from headrace.featurestore.online.entity_keys import encoded_keys
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.decoder import (
    Provenance,
    decode_provenance,
    decode_values,
)
from headrace.featurestore.redis_codec.protobuf import decode_timestamp_ms
from headrace.schemas.errors import HeadraceError, UnknownNameError

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import (
        BatchViewSpec,
        FeatureRef,
        FieldSpec,
        OnDemandViewSpec,
        StreamViewSpec,
    )
    from headrace.schemas.plan import Plan


class NamedService(Protocol):
    """Feast's `FeatureService`, of which the name counts."""

    name: str


Features = str | Sequence[str] | NamedService
EntityRows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]
Reply = Sequence[bytes | None]
_KEPT = 1000  # prepared requests


@dataclass(frozen=True)
class _ViewSlice:
    """Where a view's fields stand in a reply: its features from `start` on, then ``_ts``, then provenance."""

    view: str
    ttl_ms: int
    start: int
    columns: tuple[str, ...]


class _EntityGroup:
    """The views that share their join keys, and so their hashes: each entity is read once for all of them."""

    def __init__(self, plan: Plan, keys: tuple[FieldSpec, ...], refs: Sequence[FeatureRef]) -> None:
        self.keys = keys
        self.slices: list[_ViewSlice] = []
        fields: list[bytes] = []
        for view in dict.fromkeys(ref.view for ref in refs):
            own = [ref for ref in refs if ref.view == view]
            names = tuple(ref.full_name for ref in own)
            self.slices.append(_ViewSlice(view, plan.view(view).ttl_ms, len(fields), names))
            fields += [layout.feature_field(view, ref.feature) for ref in own]
            fields += [layout.timestamp_field(view), layout.provenance_field(view)]
        self._prefix = layout.key_prefix([key.name for key in keys])
        self._project = plan.project.encode()
        self._head = b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(fields))
        self._tail = b"".join(b"\r\n$%d\r\n%s" % (len(field), field) for field in fields) + b"\r\n"

    def redis_keys(self, entities: Mapping[str, Sequence[Any]]) -> list[bytes]:
        parts = [encoded_keys(key, entities[key.name]) for key in self.keys]
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
        A feature service or its name, or ``view:feature`` names.
    full_feature_names
        Whether columns are called ``view__feature``; else ``feature``.
    functions
        Where the functions of on-demand views are found.

    Raises
    ------
    UnknownNameError
        When the service, a view or a feature is not in the plan.
    HeadraceError
        When short names of two features are the same, or on-demand views are asked for without a repository.
    DefinitionError
        When the function of an on-demand view cannot be had.
    """

    def __init__(
        self,
        plan: Plan,
        features: str | Sequence[str],
        full_feature_names: bool = True,
        functions: OnDemandFunctions | None = None,
    ) -> None:
        refs = plan.service(features).features if isinstance(features, str) else _refs(plan, features)
        self._names = {(ref.full_name if full_feature_names else ref.feature): ref.full_name for ref in refs}
        if len(self._names) < len(refs):
            names = [ref.full_name if full_feature_names else ref.feature for ref in refs]
            twice = next(name for name in names if names.count(name) > 1)
            raise HeadraceError(
                f"feature '{twice}' is asked for twice; ask once, and with full_feature_names=True "
                "where two views have a feature of that name"
            )
        grouped: dict[tuple[FieldSpec, ...], list[FeatureRef]] = {}
        for ref in plan.stored(refs):
            grouped.setdefault(plan.view(ref.view).join_keys, []).append(ref)
        self._groups = [_EntityGroup(plan, keys, own) for keys, own in grouped.items()]
        self.join_keys = list(dict.fromkeys(key.name for keys in grouped for key in keys))
        asked = {ref.view for ref in refs}
        own_views = [view for view in plan.on_demand_views if view.name in asked]
        self._on_demand = [
            OnDemandStep(plan, view, functions or OnDemandFunctions(None)) for view in own_views
        ]
        self._request_fields = list(dict.fromkeys(f.name for view in own_views for f in view.request))

    def prepare(self, entity_rows: EntityRows) -> Request:
        """The commands that read the features of these rows.

        Raises
        ------
        UnknownNameError
            When a join key or a field that an on-demand view needs is missing.
        HeadraceError
            When a join key has a value of another type, or columns differ in length.
        """
        given = _as_columns(entity_rows, [*self.join_keys, *self._request_fields])
        keys = [group.redis_keys(given) for group in self._groups]
        distinct = [list(dict.fromkeys(own)) for own in keys]
        commands = [
            group.command(key) for group, own in zip(self._groups, distinct, strict=True) for key in own
        ]
        return Request(self, given, keys, distinct, commands)

    def respond(self, request: Request, replies: Sequence[Reply], now_ms: int) -> FeatureResponse:
        """The response, from one reply per command."""
        columns: dict[str, list[Any]] = {}
        statuses: dict[str, list[FieldStatus]] = {}
        provenance: dict[str, list[Provenance | None]] = {}
        at = 0
        for group, keys, distinct in zip(self._groups, request.by_group, request.distinct, strict=True):
            own: Sequence[Reply] = replies[at : at + len(distinct)]
            at += len(distinct)
            if len(distinct) < len(keys):
                by_key = dict(zip(distinct, own, strict=True))
                own = [by_key[key] for key in keys]
            for part in group.slices:
                _read_view(part, own, now_ms, columns, statuses)
                last = part.start + len(part.columns) + 1
                provenance[part.view] = [decode_provenance(reply[last]) for reply in own]
        for step in self._on_demand:
            step.add(request.given, columns, statuses)
        return FeatureResponse(
            {name: request.given[name] for name in self.join_keys},
            {name: columns[full] for name, full in self._names.items()},
            {name: statuses[full] for name, full in self._names.items()},
            provenance,
        )


class Retrievals:
    """Prepared requests of one plan; a request of the same features is prepared once."""

    def __init__(self, plan: Plan, repo_dir: Path | str | None) -> None:
        self._plan = plan
        self._functions = OnDemandFunctions(repo_dir)
        self._prepared: dict[tuple[str | tuple[str, ...], bool], Retrieval] = {}

    def prepared(self, features: Features, full_feature_names: bool) -> Retrieval | None:
        """One that is ready; None where it must be made, which may import a file of the repository."""
        return self._prepared.get((_asked(features), full_feature_names))

    def of(self, features: Features, full_feature_names: bool) -> Retrieval:
        """See `Retrieval`."""
        asked = _asked(features)
        found = self._prepared.get((asked, full_feature_names))
        if found is None:
            found = Retrieval(self._plan, asked, full_feature_names, self._functions)
            if len(self._prepared) >= _KEPT:
                self._prepared = {}
            self._prepared[asked, full_feature_names] = found
        return found


@dataclass(frozen=True)
class Request:
    """Commands in the Redis protocol, one per hash to be read, and what is needed to read their replies."""

    retrieval: Retrieval
    given: dict[str, list[Any]]
    by_group: list[list[bytes]]
    distinct: list[list[bytes]]
    commands: list[bytes]

    @property
    def keys(self) -> list[bytes]:
        """The key of each command."""
        return [key for own in self.distinct for key in own]

    def respond(self, replies: Sequence[Reply], now_ms: int) -> FeatureResponse:
        return self.retrieval.respond(self, replies, now_ms)


def _asked(features: Features) -> str | tuple[str, ...]:
    if isinstance(features, str):
        return features
    name = getattr(features, "name", None)
    return name if isinstance(name, str) else tuple(features)  # type: ignore[arg-type]


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
        expired = {row for row, time in found if time is not None and decode_timestamp_ms(time) < oldest}
    cells = [cell for reply in replies for cell in reply[part.start : times]]  # row by row
    values = decode_values(cells)
    for position, name in enumerate(part.columns):
        columns[name] = column = values[position::width]
        if not expired and None not in column:
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
    every: list[StreamViewSpec | BatchViewSpec | OnDemandViewSpec] = [*plan.stream_views, *plan.batch_views]
    views = {view.name: view for view in [*every, *plan.on_demand_views]}
    from headrace.schemas.feature_specs import (
        FeatureRef,  # loaded with the plan; the import of the SDK does without
    )

    refs = []
    for name in features:
        view, _, feature = name.partition(":")
        if view not in views:
            raise UnknownNameError("feature view", view, [*views])
        known = [field.name for field in views[view].features]
        if feature not in known:
            raise UnknownNameError(f"feature of view '{view}'", feature, known)
        refs.append(FeatureRef(view=view, feature=feature))
    return refs


def _as_columns(rows: EntityRows, names: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name in names:
        try:
            columns[name] = list(rows[name]) if isinstance(rows, Mapping) else [row[name] for row in rows]
        except KeyError:
            given = rows if isinstance(rows, Mapping) else next(row for row in rows if name not in row)
            raise UnknownNameError("join key or request field", name, list(given)) from None
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"'{name}' has {len(values)}" for name, values in columns.items())
        raise HeadraceError(f"entity columns differ in length ({lengths}); give one value per row in each")
    return columns
