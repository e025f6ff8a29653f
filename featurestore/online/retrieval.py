"""A request for features, prepared once: which hashes and fields to read, and how to read the replies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.featurestore.on_demand.step import OnDemandStep
from headrace.featurestore.online.entity_keys import encode_join_key
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.online.view_replies import Reply, StoredColumns, ViewFields, hash_fields
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.decoder import Provenance
from headrace.schemas.errors import HeadraceError, UnknownNameError
from headrace.schemas.feature_names import name_clash

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
    """Feast's `FeatureService`, of which only the name is read."""

    name: str


Features = str | Sequence[str] | Sequence["str | FeatureRef"] | NamedService
EntityRows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]
_FeatureNames = str | tuple["str | FeatureRef", ...]  # of a service, or ``view:feature``
_Fields = tuple["FieldSpec", ...]
_CACHED = 1000  # retrievals


class _EntityGroup:
    """The views that share their join keys and the columns of these, and so their hashes.

    Each entity is read once for all of them.
    """

    def __init__(
        self,
        plan: Plan,
        join_keys: _Fields,
        columns: _Fields,
        refs: Sequence[FeatureRef],
    ) -> None:
        self._columns = columns
        self.views: list[ViewFields] = []
        fields: list[bytes] = []
        for projection in dict.fromkeys(ref.projection for ref in refs):
            own = [ref for ref in refs if ref.projection == projection]
            view, full_names = own[0].view, tuple(ref.full_name for ref in own)
            ttl_ms = plan.view(view).ttl_ms
            self.views.append(ViewFields(own[0].view_name, ttl_ms, len(fields), full_names))
            fields += hash_fields(view, (ref.feature for ref in own))
        self._prefix = layout.key_prefix([key.name for key in join_keys], plan.online.key_version)
        self._project = plan.project.encode()
        self._head = b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(fields))
        self._tail = b"".join(b"\r\n$%d\r\n%s" % (len(field), field) for field in fields) + b"\r\n"

    def redis_keys(self, entities: Mapping[str, Sequence[Any]], rows: int) -> list[bytes]:
        """Encode the Redis key of each entity row."""
        if not self._columns:
            return [self._prefix + self._project] * rows
        encoded = [encode_join_key(column, entities[column.name]) for column in self._columns]
        if len(encoded) == 1:
            return [self._prefix + value + self._project for value in encoded[0]]
        return [self._prefix + b"".join(row) + self._project for row in zip(*encoded, strict=True)]

    def command(self, key: bytes) -> bytes:
        """The command that reads all fields of one hash."""
        return b"%s$%d\r\n%s%s" % (self._head, len(key), key, self._tail)


class Retrieval:
    """A prepared list of features, which makes requests for entity rows and reads their replies.

    Parameters
    ----------
    plan
        The plan that defines the names.
    features
        The name of a feature service, names ``view:feature``, or features of the plan.
    full_feature_names
        Whether columns are called ``view__feature``; else ``feature``.
    functions
        The functions of on-demand views; None when there is no repository at hand.

    Attributes
    ----------
    features
        The features by their names in a response, in the order in which they were asked for.
    join_keys
        Names of the join keys that requests must have, as the features map them.
    places
        Where each feature is in what `Request.stored` returns: the number of its view, and its position
        there. None where functions of on-demand views are asked for, or needed.

    Raises
    ------
    UnknownNameError
        When the service, a view or a feature is not in the plan.
    HeadraceError
        When two features, or a feature and a join key, would have one name, or on-demand views are asked for
        without a repository.
    DefinitionError
        When the function of an on-demand view cannot be loaded.
    """

    def __init__(
        self,
        plan: Plan,
        features: str | Sequence[str | FeatureRef],
        full_feature_names: bool = True,
        functions: OnDemandFunctions | None = None,
    ) -> None:
        refs = plan.service(features).features if isinstance(features, str) else _refs(plan, features)
        if (clash := name_clash(plan, refs)) is not None:
            raise HeadraceError(f"{clash}; rename one of the two, or do not ask for both")
        self.features = _response_names(refs, full_feature_names)
        self._full_names = {name: ref.full_name for name, ref in self.features.items()}
        groups: dict[tuple[_Fields, _Fields], list[FeatureRef]] = {}
        for ref in plan.stored(refs):
            keys = plan.view(ref.view).join_keys
            groups.setdefault((keys, ref.request_keys(keys)), []).append(ref)
        self._groups = [_EntityGroup(plan, *keys, stored) for keys, stored in groups.items()]
        self.join_keys = list(dict.fromkeys(key.name for key in plan.request_keys(refs)))
        if taken := [name for name in self.join_keys if name in self.features]:
            raise HeadraceError(
                f"feature '{taken[0]}' is called as a join key is; ask with full_feature_names=True"
            )
        on_demand = plan.on_demand_of(refs)
        functions = functions or OnDemandFunctions(None)
        self._on_demand = [
            OnDemandStep(plan, view, functions, name) for view, name in plan.on_demand_named(refs)
        ]
        self.places = None if self._on_demand else self._places()
        self._request_fields = list(dict.fromkeys(field.name for view in on_demand for field in view.request))

    def request(self, entity_rows: EntityRows) -> Request:
        """Make the commands that read the features of entity rows.

        Raises
        ------
        UnknownNameError
            When a join key or a field that an on-demand view needs is missing.
        HeadraceError
            When a join key has a value of another type, or columns differ in length.
        """
        inputs = _as_columns(entity_rows, [*self.join_keys, *self._request_fields])
        rows = _row_count(entity_rows, inputs)
        keys = [group.redis_keys(inputs, rows) for group in self._groups]
        distinct = [list(dict.fromkeys(group_keys)) for group_keys in keys]
        commands = [
            group.command(key)
            for group, group_keys in zip(self._groups, distinct, strict=True)
            for key in group_keys
        ]
        return Request(self, inputs, keys, distinct, commands)

    def respond(self, request: Request, replies: Sequence[Reply], now_ms: int) -> FeatureResponse:
        """Read the response from one reply per command; see `Request.respond`."""
        columns: dict[str, list[Any]] = {}
        statuses: dict[str, list[FieldStatus]] = {}
        provenance: dict[str, list[Provenance | None]] = {}
        for view, rows in self._rows(request, replies):
            view.read_features(rows, now_ms, columns, statuses)
            provenance[view.name] = view.read_provenance(rows)
        for step in self._on_demand:
            step.add(request.inputs, columns, statuses)
        return FeatureResponse(
            {name: request.inputs[name] for name in self.join_keys},
            {name: columns[full_name] for name, full_name in self._full_names.items()},
            {name: statuses[full_name] for name, full_name in self._full_names.items()},
            provenance,
        )

    def stored(
        self, request: Request, replies: Sequence[Reply], now_ms: int
    ) -> list[tuple[StoredColumns, list[int | None]]]:
        """Read the features and the event times of each view; see `Request.stored`."""
        return [
            (view.read(rows, now_ms), view.read_times(rows)) for view, rows in self._rows(request, replies)
        ]

    def _places(self) -> dict[str, tuple[int, int]]:
        views = [view for group in self._groups for view in group.views]
        by_full_name = {
            full_name: (number, position)
            for number, view in enumerate(views)
            for position, full_name in enumerate(view.columns)
        }
        return {name: by_full_name[full_name] for name, full_name in self._full_names.items()}

    def event_times(self, request: Request, replies: Sequence[Reply]) -> dict[str, list[int | None]]:
        """Read event times from the same replies; see `Request.event_times`."""
        return {view.name: view.read_times(rows) for view, rows in self._rows(request, replies)}

    def _rows(
        self, request: Request, replies: Sequence[Reply]
    ) -> Iterator[tuple[ViewFields, Sequence[Reply]]]:
        """Yield each view with the reply of each entity row."""
        start = 0
        for group, keys, distinct in zip(self._groups, request.keys_by_group, request.distinct, strict=True):
            by_row = replies[start : start + len(distinct)]
            start += len(distinct)
            if len(distinct) < len(keys):
                by_key = dict(zip(distinct, by_row, strict=True))
                by_row = [by_key[key] for key in keys]
            for view in group.views:
                yield view, by_row


class Retrievals:
    """The retrievals of one plan; features that are asked for again are prepared once.

    Parameters
    ----------
    plan
        The plan.
    repo_dir
        The Feast repository, with the functions of on-demand views; None when there is none at hand.
    """

    def __init__(self, plan: Plan, repo_dir: Path | str | None) -> None:
        self._plan = plan
        self._functions = OnDemandFunctions(repo_dir)
        self._cached: dict[tuple[_FeatureNames, bool], Retrieval] = {}

    def cached(self, features: Features, full_feature_names: bool) -> Retrieval | None:
        """The retrieval, if it is prepared. To prepare one may import a file of the repository."""
        return self._cached.get((_names_of(features), full_feature_names))

    def get(self, features: Features, full_feature_names: bool) -> Retrieval:
        """The retrieval, prepared where it is not yet; raises as `Retrieval` does."""
        names = _names_of(features)
        retrieval = self._cached.get((names, full_feature_names))
        if retrieval is None:
            retrieval = Retrieval(self._plan, names, full_feature_names, self._functions)
            if len(self._cached) >= _CACHED:
                self._cached = {}
            self._cached[names, full_feature_names] = retrieval
        return retrieval


@dataclass(frozen=True)
class Request:
    """A request for entity rows.

    Attributes
    ----------
    inputs
        Join keys and request fields by name, one value per row.
    keys_by_group
        Redis keys of the rows, by group of views with the same join keys.
    distinct
        The same without repetition: the hashes to be read.
    commands
        One command in the Redis protocol for each of them.
    """

    retrieval: Retrieval
    inputs: dict[str, list[Any]]
    keys_by_group: list[list[bytes]]
    distinct: list[list[bytes]]
    commands: list[bytes]

    @property
    def keys(self) -> list[bytes]:
        """The key of each command."""
        return [key for keys in self.distinct for key in keys]

    def respond(self, replies: Sequence[Reply], now_ms: int) -> FeatureResponse:
        """Read the response from one reply per command.

        Parameters
        ----------
        now_ms
            The time by which the ttl of views is judged, epoch milliseconds.

        Raises
        ------
        HeadraceError
            When a stored value is of a type that Headrace does not read.
        DefinitionError
            When an on-demand view cannot be computed.
        """
        return self.retrieval.respond(self, replies, now_ms)

    def stored(self, replies: Sequence[Reply], now_ms: int) -> list[tuple[StoredColumns, list[int | None]]]:
        """Read the same as columns of each view, with the event times of its rows, without a response.

        For those that write answers of what is stored alone; `Retrieval.places` says where each feature is.
        Raises as `respond` does.
        """
        return self.retrieval.stored(self, replies, now_ms)

    def event_times(self, replies: Sequence[Reply]) -> dict[str, list[int | None]]:
        """Read the event time of each row from the same replies, by the name that its view is read by.

        Epoch milliseconds; None where there is no row.
        """
        return self.retrieval.event_times(self, replies)


def _names_of(features: Features) -> _FeatureNames:
    if isinstance(features, str):
        return features
    name = getattr(features, "name", None)
    return name if isinstance(name, str) else tuple(features)  # type: ignore[arg-type]


def _response_names(refs: Sequence[FeatureRef], full_feature_names: bool) -> dict[str, FeatureRef]:
    """Features by the names they have in a response."""
    names = [ref.full_name if full_feature_names else ref.feature for ref in refs]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise HeadraceError(
            f"feature '{repeated}' is asked for twice; ask once, and with full_feature_names=True "
            "where two views have a feature of that name"
        )
    return dict(zip(names, refs, strict=True))


def _refs(plan: Plan, features: Sequence[str | FeatureRef]) -> list[FeatureRef]:
    from headrace.schemas.feature_specs import FeatureRef  # comes with the plan; `import` of the SDK is light

    stored: list[StreamViewSpec | BatchViewSpec | OnDemandViewSpec] = [*plan.stream_views, *plan.batch_views]
    views = {view.name: view for view in [*stored, *plan.on_demand_views]}
    refs = []
    for name in features:
        if isinstance(name, FeatureRef):
            refs.append(name)
            continue
        versioned, _, feature = name.partition(":")
        view, _, version = versioned.partition("@")
        if version.lower() not in ("", "latest"):
            raise HeadraceError(
                f"'{name}' asks for version '{version}' of view '{view}', and a plan has one of each: take "
                f"'@{version}' out"
            )
        if view not in views:
            raise UnknownNameError("feature view", view, [*views])
        defined = [field.name for field in views[view].features]
        if feature not in defined:
            raise UnknownNameError(f"feature of view '{view}'", feature, defined)
        refs.append(FeatureRef(view=view, feature=feature))
    return refs


def _row_count(rows: EntityRows, columns: Mapping[str, list[Any]]) -> int:
    """Count entity rows, also where features need no column of them."""
    if not isinstance(rows, Mapping):
        return len(rows)
    return len(next(iter((columns or rows).values()), ()))


def _as_columns(rows: EntityRows, names: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name in names:
        try:
            columns[name] = list(rows[name]) if isinstance(rows, Mapping) else [row[name] for row in rows]
        except KeyError:
            lacking = rows if isinstance(rows, Mapping) else next(row for row in rows if name not in row)
            raise UnknownNameError("join key or request field", name, list(lacking)) from None
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"'{name}' has {len(values)}" for name, values in columns.items())
        raise HeadraceError(f"entity columns differ in length ({lengths}); give one value per row in each")
    return columns
