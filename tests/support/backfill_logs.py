"""Past events for a backfill, and the rows it logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.featurestore.offline.compaction import latest_rows
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord
from tests.support.expected_rows import record_of
from tests.support.purchases import purchases_plan
from tests.support.window_oracle import OracleEvent


def direct_plan(**more: Any) -> Plan:
    """All views of one partition, so that none needs a shuffle."""
    plan = purchases_plan(shards=0, **more)
    return plan.model_copy(update={"sources": (plan.sources[0].model_copy(update={"partitions": 1}),)})


def past(log: list[OracleEvent]) -> list[LogRecord]:
    return [record_of(event) for event in log]


def logged(directory: Path, plan: Plan, view: str) -> list[dict]:
    log = ViewLog(directory, plan, view)
    keys = [key.name for key in log.view.join_keys]
    table = pa.concat_tables([pq.ParquetFile(file).read() for file in log.files()])
    return latest_rows(table, keys).to_pylist()


def purchase(offset: int, event_ms: int, user: int = 1) -> OracleEvent:
    fields = {"user": user, "shop": "a", "amount": 2.5, "items": 3, "event_ms": event_ms}
    return OracleEvent(offset, event_ms, fields)
