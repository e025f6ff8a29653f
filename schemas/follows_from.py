"""What follows from what: for every stored thing, the fields of the definitions that it follows from.

One table says it for all. The hashes by which workers, the feature log, `headrace materialize`, backfills,
epochs and lineage know their own are made of it, and `headrace plan` speaks from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

from headrace.schemas.domains import DomainSpec
from headrace.schemas.feature_specs import (
    AggregationSpec,
    BatchViewSpec,
    ColumnSpec,
    ExpectationSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
    SourceSpec,
    StreamViewSpec,
    TableSpec,
    UdfSpec,
    ViewExpectationsSpec,
)
from headrace.schemas.plan import DescriptionSpec, OnlineStoreSpec, Plan
from headrace.schemas.push_specs import PushSourceSpec
from headrace.schemas.router_specs import LearnerSpec, OutcomeSpec, PolicySpec, RouterSpec
from headrace.schemas.spec import Spec

StoredThing = Literal[
    "state", "online rows", "feature log", "backfill", "materialised rows", "model versions", "epochs"
]
"""What is stored and follows from definitions.

* ``state``, of a source: changelogs, shuffle blocks, the workers' consumer group, counts of records.
* ``online rows``, of a stream view; ``materialised rows``, of a batch view.
* ``feature log``, of a stream view; ``backfill``, the folder that a backfill of it goes on from.
* ``model versions``, of a learner; ``epochs``, of a router, with the evidence behind them.

Whatever else is stored is a log, or the state of a reader of one: predictions, outcomes, closings, examples,
what waits in the join, late records, dead letters. It follows from no definition and is always kept.
"""
_Things = frozenset[StoredThing]

NOTHING: _Things = frozenset()
EVERYTHING: _Things = frozenset(get_args(StoredThing))
_STREAM: _Things = frozenset({"state", "online rows", "feature log", "backfill"})
_TABLE: _Things = frozenset({"materialised rows"})
_ROWS: _Things = frozenset({"online rows", "materialised rows"})
_FEATURES: _Things = _STREAM | _TABLE
_VERSIONS: _Things = frozenset({"model versions"})
_EPOCHS: _Things = frozenset({"epochs"})

FOLLOWS_FROM: Mapping[type[Spec], Mapping[str, frozenset[StoredThing]]] = {
    Plan: {
        "version": NOTHING,
        "project": EVERYTHING,
        "sources": _STREAM,
        "stream_views": _STREAM,
        "batch_views": _TABLE,
        "on_demand_views": NOTHING,
        "services": NOTHING,
        "learners": _VERSIONS,
        "routers": _VERSIONS | _EPOCHS,
        "expectations": NOTHING,
        "descriptions": NOTHING,
        "online": _ROWS,
        "push_sources": NOTHING,
    },
    OnlineStoreSpec: {"key_ttl_s": NOTHING, "key_version": _ROWS},
    SourceSpec: {
        "name": _STREAM,
        "topic": _STREAM,
        "format": _STREAM,
        "reader_schema": _STREAM,
        "writer_schemas": NOTHING,  # how bytes are read, not what they say
        "timestamp_field": _STREAM,
        "timestamp_unit": _STREAM,
        "key_field": _STREAM,
        "tile_ms": _STREAM,
        "late_tiles": _STREAM,
        "max_future_ms": _STREAM,
        "partitions": _STREAM,
        "shards": _STREAM,
        "expectations": _STREAM,  # those that refuse records; the others are counted alone
    },
    ExpectationSpec: {
        "field": _STREAM,
        "least": _STREAM,
        "most": _STREAM,
        "categories": _STREAM,
        "null_share": _STREAM,
        "fresh_ms": _STREAM,
        "quarantine": _STREAM,
    },
    StreamViewSpec: {
        "name": _STREAM,
        "source": _STREAM,
        "join_keys": _STREAM,
        "aggregations": _STREAM,
        "ttl_ms": NOTHING,
        "udf": _STREAM,
    },
    AggregationSpec: {
        "feature": _STREAM,
        "function": _STREAM,
        "column": _STREAM,
        "window_ms": _STREAM,
        "hop_ms": _STREAM,
        "dtype": _STREAM,
        "quantum": _STREAM,
        "precision": _STREAM,
    },
    UdfSpec: {"source": _STREAM, "inputs": _STREAM, "outputs": _STREAM},
    ColumnSpec: {"name": _STREAM, "kind": _STREAM, "nullable": _STREAM},
    FieldSpec: {"name": _FEATURES, "dtype": _FEATURES, "length": NOTHING},
    BatchViewSpec: {
        "name": _TABLE,
        "join_keys": _TABLE,
        "features": _TABLE,
        "ttl_ms": NOTHING,
        "table": _TABLE,
        "source": _TABLE,
    },
    TableSpec: {
        "place": _TABLE,
        "timestamp_field": _TABLE,
        "created_field": _TABLE,
        "options": _TABLE,
    },
    LearnerSpec: {
        "name": _VERSIONS,
        "service": NOTHING,  # the names of its features are in the definition
        "request": NOTHING,
        "target": NOTHING,
        "domain": NOTHING,  # it is in the definition
        "definition": _VERSIONS,
    },
    RouterSpec: {
        "name": _VERSIONS | _EPOCHS,  # examples are those of the router that has the learner as an arm
        "arms": NOTHING,  # evidence is of an arm: the next epoch follows from what there is of those
        "policy": _EPOCHS,
        "refresh_ms": _EPOCHS,
        "wait_ms": _EPOCHS,
        "reward": _EPOCHS,
        "feedback": _EPOCHS,
        "partitions": _EPOCHS,
        "champion": NOTHING,
        "target": NOTHING,
        "domain": _EPOCHS,  # rewards follow from range and classes
        "unit": NOTHING,
        "entities": NOTHING,
        "request": NOTHING,
        "outcome": NOTHING,
        "missing": NOTHING,
        "duplicates": NOTHING,
        "publish_ms": NOTHING,
        "salt": NOTHING,
        "default": NOTHING,
    },
    DomainSpec: {
        "kind": _EPOCHS,
        "low": _EPOCHS,
        "high": _EPOCHS,
        "classes": _EPOCHS,
        "quantile": _EPOCHS,
    },
    PolicySpec: {
        "kind": _EPOCHS,
        "posterior": _EPOCHS,
        "discount": _EPOCHS,
        "floor": NOTHING,  # nor does evidence follow from how the next epoch is made of it
        "epsilon": NOTHING,
        "shares": NOTHING,
    },
    OutcomeSpec: {"source": NOTHING, "key_field": NOTHING, "label_field": NOTHING, "id_field": NOTHING},
    OnDemandViewSpec: {
        "name": NOTHING,
        "mode": NOTHING,
        "singleton": NOTHING,
        "inputs": NOTHING,
        "request": NOTHING,
        "features": NOTHING,
        "file": NOTHING,
        "definition": NOTHING,
    },
    FeatureRef: {"view": NOTHING, "feature": NOTHING, "alias": NOTHING, "join_key_map": NOTHING},
    FeatureServiceSpec: {"name": NOTHING, "features": NOTHING},
    ViewExpectationsSpec: {"view": NOTHING, "features": NOTHING},
    PushSourceSpec: {"name": NOTHING, "timestamp_field": NOTHING, "views": NOTHING, "field_mapping": NOTHING},
    DescriptionSpec: {
        "kind": NOTHING,
        "name": NOTHING,
        "owner": NOTHING,
        "description": NOTHING,
        "tags": NOTHING,
    },
}
"""Field of a definition to the stored things that follow from it, where they follow from the definition.

What follows from no field of a change is kept: it takes effect from the next record, request or row on.
"""


def meaning(spec: Spec, thing: StoredThing) -> dict[str, Any]:
    """Return the part of a definition that a stored thing follows from, in JSON.

    Examples
    --------
    >>> meaning(OnlineStoreSpec(key_ttl_s=60), "online rows")
    {'key_version': 3}
    """
    dumped = spec.model_dump(mode="json")  # without fields that are left out while they have their defaults
    return {
        field: _part(getattr(spec, field), dumped[field], thing)
        for field, things in FOLLOWS_FROM[type(spec)].items()
        if thing in things and field in dumped
    }


def _part(value: Any, dumped: Any, thing: StoredThing) -> Any:
    if isinstance(value, Spec):
        return meaning(value, thing)
    if isinstance(value, tuple) and any(isinstance(item, Spec) for item in value):
        return [meaning(item, thing) for item in value if not _only_counts(item)]
    return dumped


def _only_counts(part: Spec) -> bool:
    return isinstance(part, ExpectationSpec) and not part.quarantine


def digest(meanings: Any) -> str:
    """Return the hash of what a stored thing follows from, 12 hexadecimal digits."""
    return hashlib.sha256(json.dumps(meanings, sort_keys=True).encode()).hexdigest()[:12]


def log_definition(plan: Plan, view: StreamViewSpec) -> str:
    """Return the hash of what the feature log of a stream view follows from: its source and the view."""
    source = plan.source(view.source)
    return digest([meaning(source, "feature log"), meaning(view, "feature log")])


def log_definition_before(plan: Plan, view: StreamViewSpec) -> str:
    """Return the hash of before, of which expectations were a part that are counted alone."""
    source = plan.source(view.source)
    events = meaning(source, "feature log")
    events["expectations"] = source.model_dump(mode="json")["expectations"]
    return digest([events, meaning(view, "feature log")])


def table_definition(plan: Plan, view: BatchViewSpec) -> str:
    """Return the hash of what the materialised rows of a batch view follow from: table, view, keys."""
    if plan.online.key_version == OnlineStoreSpec().key_version:
        return digest(meaning(view, "materialised rows"))
    return digest([meaning(view, "materialised rows"), meaning(plan.online, "materialised rows")])


def feature_definition(plan: Plan, ref: FeatureRef) -> str:
    """Return the hash of what the values of a feature follow from, in the log or the table that they are of.

    Raises
    ------
    UnknownNameError
        When the plan has no such view.
    """
    if computed := plan.on_demand_of([ref]):
        (on_demand,) = computed
        behind = [feature_definition(plan, each) for each in on_demand.inputs]
        return digest([on_demand.definition, on_demand.mode, behind])
    view = plan.view(ref.view)
    if isinstance(view, StreamViewSpec):
        alone = [each for each in view.aggregations if each.feature == ref.feature]
        return log_definition(plan, view.model_copy(update={"aggregations": tuple(alone)}))
    fields = [each for each in view.features if each.name == ref.feature]
    return table_definition(plan, view.model_copy(update={"features": tuple(fields)}))


def epoch_rules(router: RouterSpec) -> dict[str, Any]:
    """Return what the epochs of a router follow from besides the closings and their partitions.

    Arms, and numbers of the policy, are among it by which the next epoch is made of the evidence so far; see
    `evidence_rules` for the others.
    """
    rules = {"arms": list(router.arms), "policy": router.policy.model_dump(mode="json")}
    others = meaning(router, "epochs").items()
    return rules | {field: value for field, value in others if field not in ("name", "partitions", "policy")}


def evidence_rules(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of `epoch_rules` that evidence follows from: under other ones it is gathered anew."""
    policy = {field: rules["policy"][field] for field in _followed(PolicySpec)}
    return {field: rules[field] for field in _followed(RouterSpec) if field in rules} | {"policy": policy}


def _followed(spec: type[Spec]) -> list[str]:
    return [field for field, things in FOLLOWS_FROM[spec].items() if "epochs" in things]


def epochs_definition(router: RouterSpec) -> str:
    """Return the hash of what the epochs of a router follow from."""
    return digest(meaning(router, "epochs"))


def versions_definition(plan: Plan, learner: LearnerSpec) -> str:
    """Return the hash of what the versions of a learner follow from: its definition, and whose examples."""
    routers = [meaning(router, "model versions") for router in plan.routers if learner.name in router.arms]
    return digest([meaning(learner, "model versions"), *routers])
