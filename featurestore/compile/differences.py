"""What runs here in another way than Feast runs it, object by object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.featurestore.compile.attributes import attribute_notes
from headrace.featurestore.compile.definition import expires
from headrace.featurestore.compile.table_checks import lacking_columns
from headrace.featurestore.feast_repo.repository import FeastRepository
from headrace.schemas.feature_specs import OnDemandViewSpec

Differences = Mapping[int, tuple[str, ...]]  # by the `id` of Feast's object


def find_differences(repository: FeastRepository, on_demand_views: Iterable[OnDemandViewSpec]) -> Differences:
    """Return what is otherwise than in Feast, for each object that has such.

    Parameters
    ----------
    on_demand_views
        Those of the plan.
    """
    contents = repository.contents
    compiled = {view.name: view for view in on_demand_views}
    rules: list[tuple[Iterable[Any], Callable[[Any], Iterable[str]]]] = [
        ([*contents.stream_feature_views, *contents.feature_views], _of_view),
        (contents.feature_views, lambda view: _of_batch_view(view, repository.path)),
        (contents.stream_feature_views, _of_stream_view),
        (contents.on_demand_feature_views, lambda view: _of_on_demand_view(compiled.get(view.name))),
        (contents.feature_services, lambda service: _of_service(service, repository.precomputed, compiled)),
        (contents.permissions, _of_permission),
        (_with_attributes(contents), attribute_notes),
    ]
    found: dict[int, tuple[str, ...]] = {}
    for items, rule in rules:
        for item in items:
            if told := tuple(rule(item)):
                found[id(item)] = found.get(id(item), ()) + told
    return found


def _with_attributes(contents: Any) -> list[Any]:
    views = [*contents.stream_feature_views, *contents.feature_views, *contents.on_demand_feature_views]
    return [*views, *contents.data_sources, *contents.feature_services]


def _of_view(view: Any) -> Iterator[str]:
    if expires(view.ttl):
        yield f"a row older than its ttl ({_duration(view.ttl)}) is not served; Feast serves it online"
    if indexed := [field.name for field in view.schema if field.vector_index]:
        yield f"no vector index is made of {', '.join(indexed)}: it is served by key, not searched"


def _of_batch_view(view: Any, repository: Path) -> Iterator[str]:
    source = view.batch_source
    times = {source.timestamp_field, source.created_timestamp_column} if source is not None else set()
    if clash := [field.name for field in view.features if field.name in times]:
        yield f"training sets have its {' and '.join(clash)}, where Feast fails on a feature of that name"
    if lacking := lacking_columns(view, repository):
        yield (
            f"its table has no column {' and '.join(lacking)}: `materialize` ends with it, as Feast's does, "
            "and training sets cannot be made"
        )


def _of_stream_view(view: Any) -> Iterator[str]:
    yield "Headrace computes it, and `apply` registers its feature log as its batch source"
    if not view.aggregations:
        yield (
            "its features are the last values: a null leaves the value before, where Feast writes the null, "
            "and an event with a text of more than 64 bytes is a dead letter"
        )


def _of_on_demand_view(view: OnDemandViewSpec | None) -> Iterator[str]:
    if view is None:
        return
    counts = Counter(ref.feature for ref in view.inputs)
    if twice := [name for name, count in counts.items() if count > 1]:
        yield f"its function has {', '.join(twice)} by full names only, Feast's one of each by the short name"
    if view.mode == "python":
        yield "its features have full names, by which Feast leaves those of mode python out"
    if view.singleton:
        yield "its function has every row; by Feast the first of a request, and none of a training set"


def _of_service(
    service: Any, precomputed: frozenset[str], on_demand: Mapping[str, OnDemandViewSpec]
) -> Iterator[str]:
    if inputs := sorted(_inputs_alone(service, on_demand)):
        yield f"training sets are without {', '.join(inputs)}, which Feast adds for a function"
    if service.name in precomputed:
        yield "precompute_online is registered as False: answers are made of the rows"
    if service.logging_config is not None:
        yield "logging_config is of Feast's own servers; Headrace logs the predictions of routers"
    projections = service.feature_view_projections
    if any(projection.join_key_map for projection in projections):
        yield "a mapped join key is read from its column alone, whatever the row has under the key's own name"
    renamed = [p.name_alias for p in projections if p.name in on_demand and p.name_alias]
    if renamed:
        yield f"training sets have {', '.join(renamed)}, too, where Feast does not find it"


def _inputs_alone(service: Any, on_demand: Mapping[str, OnDemandViewSpec]) -> set[str]:
    """Inputs of functions that are no features of the service."""
    projections = service.feature_view_projections
    own = {f"{p.name_to_use()}__{field.name}" for p in projections for field in p.features}
    views = (on_demand[p.name] for p in projections if p.name in on_demand)
    return {ref.full_name for view in views for ref in view.inputs} - own


def _of_permission(permission: Any) -> Iterator[str]:
    yield "Feast's servers ask it; Headrace has accounts of Kafka and Redis, and tokens"


def _duration(duration: timedelta) -> str:
    """A duration in words.

    >>> _duration(timedelta(hours=36))
    '1 day, 12:00:00'
    """
    return str(duration).removesuffix(", 0:00:00")
