"""A stream, predictions served from it, and their audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from headrace.featurestore.audit.audit import Audit
from headrace.featurestore.audit.log_prefixes import SourceLog, block_offsets
from headrace.featurestore.audit.raw_events import Supply, raw_table
from headrace.featurestore.audit.report import AuditReport
from headrace.schemas.feature_specs import FeatureRef, FeatureServiceSpec
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction, Provenance
from headrace.schemas.router_specs import LearnerSpec
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.fingerprint import definition_of
from headrace.testing.stream_driver import LogReader
from tests.support.expected_rows import record_of
from tests.support.join_builders import a_prediction, a_router
from tests.support.purchases import purchases_plan
from tests.support.stream_driver import StreamDriver, plain_value
from tests.support.window_oracle import OracleEvent

_RANGE = 30  # records that the audit decodes at once


def audited_plan(**more: Any) -> Plan:
    """Purchases, and a router with one arm that reads every feature."""
    return with_router(purchases_plan(**more))


def with_router(plan: Plan) -> Plan:
    refs = tuple(
        FeatureRef(view=view.name, feature=a.feature) for view in plan.stream_views for a in view.aggregations
    )
    return plan.model_copy(
        update={
            "services": (FeatureServiceSpec(name="all", features=refs),),
            "learners": (LearnerSpec(name="m", service="all", target="late", definition="d"),),
            "routers": (a_router(1, entities=("shop", "user")),),
        }
    )


class Scene(StreamDriver):
    """A stream and the predictions that were served from it.

    `supply` gives the decoders of worker and audit what they lack for records that they are going to decode.
    """

    def __init__(
        self,
        plan: Plan,
        partitions: Sequence[Sequence[OracleEvent | LogRecord]],
        supply: Supply = lambda decoder, records: None,
        **more: Any,
    ) -> None:
        self.supply = supply
        self.records = [[_record(each) for each in log] for log in partitions]
        self.provenance: dict[tuple, Provenance] = {}
        self.predictions: list[Prediction] = []
        super().__init__(plan, plan.sources[0], self.records, **more)

    def step(self, reader: LogReader, most: int) -> bool:
        if reader.state.decoder is not None:
            ahead = reader.log[reader.position : reader.position + most]
            self.supply(reader.state.decoder, LogRecords.of(ahead))
        return super().step(reader, most)

    def counts(self) -> Counter[str]:
        """Counts of the worker, over all partitions."""
        counts = Counter(applied=0, late=0, dead=0, marks=0)
        for reader in self.partitions:
            counts.update(reader.state.record_counts)
        return counts

    def store(self, rows: OnlineRows) -> None:
        super().store(rows)
        at = Provenance(partition=rows.partition, offset=rows.offset, as_of_ms=rows.as_of_ms)
        for row in range(len(rows)):
            self.provenance[rows.view, tuple(plain_value(column, row) for column in rows.keys)] = at

    def predict(self, user: int, shop: str, ts_ms: int | None = None, **more: Any) -> None:
        """Log a prediction, with more entities; by default the first was made at 0 ms, the next at 1 ms."""
        entities = {"user": user, "shop": shop, **more}
        features: dict[str, Any] = {}
        provenance = {}
        for view in self.plan.stream_views:
            key = tuple(entities[k.name] for k in view.join_keys)
            row = self.online.get((view.name, key), {})
            for a in view.aggregations:
                ref = FeatureRef(view=view.name, feature=a.feature)
                features |= {
                    each.name: each.value(row.get(a.feature)) for each in self.plan.logged_names(ref)
                }
            if (view.name, key) in self.provenance:
                provenance[view.name] = self.provenance[view.name, key]
        for ref in self.plan.router_features(self.plan.routers[0]):
            if ref.projection != ref.definition.projection:
                keys = ref.request_keys(self.plan.stream_view(ref.view).join_keys)
                key = tuple(entities[k.name] for k in keys)
                value = self.online.get((ref.view, key), {}).get(ref.feature)
                features |= {each.name: each.value(value) for each in self.plan.logged_names(ref)}
                if (ref.view, key) in self.provenance:
                    provenance[ref.view_name] = self.provenance[ref.view, key]
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
        ranges = [
            (partition, LogRecords.of(log[first : first + _RANGE]))
            for partition, log in enumerate(self.records)
            for first in range(0, len(log), _RANGE)
        ]
        definition = definition_of(self.plan, self.source)
        blocks = [
            offsets
            for shard, reader in enumerate(self.shards)
            for block in reader.log
            if (offsets := block_offsets(shard, block.offset, block.value or b"", definition)) is not None
        ]
        return SourceLog(raw_table(self.plan, self.source, ranges, self.supply), blocks)


def _record(each: OracleEvent | LogRecord) -> LogRecord:
    return each if isinstance(each, LogRecord) else record_of(each)


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
    if all(reader.position == len(reader.log) for reader in scene.partitions):
        assert report.records == {"purchases": scene.counts()}


def served_features(plan: Plan) -> set[str]:
    """What the router serves, by full name."""
    return {ref.full_name for ref in plan.router_features(plan.routers[0])}
