"""A stream, predictions served from it, and their audit."""

from __future__ import annotations

from typing import Any

from headrace.featurestore.audit.audit import Audit
from headrace.featurestore.audit.log_prefixes import SourceLog, block_offsets
from headrace.featurestore.audit.raw_events import raw_table
from headrace.featurestore.audit.report import AuditReport
from headrace.schemas.feature_specs import FeatureRef, FeatureServiceSpec
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction, Provenance
from headrace.schemas.router_specs import LearnerSpec
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.fingerprint import definition_of
from tests.support.expected_rows import record_of
from tests.support.join_builders import a_prediction, a_router
from tests.support.purchases import purchases_plan
from tests.support.stream_driver import StreamDriver, plain_value
from tests.support.window_oracle import OracleEvent


def audited_plan(**more: Any) -> Plan:
    """Purchases, and a router with one arm that reads every feature."""
    return with_router(purchases_plan(**more))


def with_router(plan: Plan) -> Plan:
    refs = tuple(  # lists are not served to learners
        FeatureRef(view=view.name, feature=a.feature)
        for view in plan.stream_views
        for a in view.aggregations
        if not a.dtype.startswith("Array")
    )
    return plan.model_copy(
        update={
            "services": (FeatureServiceSpec(name="all", features=refs),),
            "learners": (LearnerSpec(name="m", service="all", target="late", definition="d"),),
            "routers": (a_router(1, entities=("shop", "user")),),
        }
    )


class Scene(StreamDriver):
    """A stream and the predictions that were served from it."""

    def __init__(self, plan: Plan, partitions: list[list[OracleEvent]], **more: Any) -> None:
        self.records = [[record_of(event) for event in log] for log in partitions]
        self.provenance: dict[tuple, Provenance] = {}
        self.predictions: list[Prediction] = []
        super().__init__(plan, plan.sources[0], self.records, **more)

    def store(self, rows: OnlineRows) -> None:
        super().store(rows)
        at = Provenance(partition=rows.partition, offset=rows.offset, as_of_ms=rows.as_of_ms)
        for row in range(len(rows)):
            self.provenance[rows.view, tuple(plain_value(column, row) for column in rows.keys)] = at

    def predict(self, user: int, shop: str, ts_ms: int | None = None) -> None:
        """Log a prediction; by default the first was made at 0 ms, the next at 1 ms."""
        entities = {"user": user, "shop": shop}
        features: dict[str, Any] = {}
        provenance = {}
        for view in self.plan.stream_views:
            key = tuple(entities[k.name] for k in view.join_keys)
            row = self.online.get((view.name, key), {})
            features |= {
                f"{view.name}__{a.feature}": row.get(a.feature)
                for a in view.aggregations
                if a.dtype[:5] != "Array"
            }
            if (view.name, key) in self.provenance:
                provenance[view.name] = self.provenance[view.name, key]
        number = len(self.predictions)
        self.predictions.append(
            a_prediction(
                f"p{number}",
                "k",
                number if ts_ms is None else ts_ms,
                entities=entities,
                features=features,
                provenance=provenance,
                plan_hash=self.plan.hash,
            )
        )

    def audit(self, sample: int = 100, **more: Any) -> AuditReport:
        audit = Audit(self.plan, "delays", {"purchases": self.source_log()}, settle_ms=0, **more)
        return audit.run(self.predictions, sample)

    def source_log(self) -> SourceLog:
        """The raw log as the audit reads it."""
        raw = [
            (p, r.offset, r.timestamp, r.value, r.headers) for p, log in enumerate(self.records) for r in log
        ]
        definition = definition_of(self.plan, self.source)
        blocks = [
            offsets
            for shard, reader in enumerate(self.shards)
            for block in reader.log
            if (offsets := block_offsets(shard, block.offset, block.value or b"", definition)) is not None
        ]
        return SourceLog(raw_table(self.plan, self.source, raw), blocks)


def purchase(offset: int, user: int, event_ms: int, amount: float = 2.5, shop: str = "a") -> OracleEvent:
    fields = {"user": user, "shop": shop, "amount": amount, "items": 3, "event_ms": event_ms}
    return OracleEvent(offset, event_ms, fields)


def counts_of(report: AuditReport, kind: str) -> dict[str, int]:
    return {name: counts[kind] for name, counts in report.counts.items() if counts[kind]}


def assert_all_equal(report: AuditReport, scene: Scene) -> None:
    """Every feature of every prediction was compared, and found equal."""
    names, predictions = served_features(scene.plan), len(scene.predictions)
    assert report.examples == []
    assert report.predictions == predictions
    assert report.counts == {name: {"equal": predictions} for name in names if predictions}
    assert report.ok == (predictions > 0)


def served_features(plan: Plan) -> set[str]:
    """What the router serves, by full name."""
    return {ref.full_name for ref in plan.router_features(plan.routers[0])}
