"""A backfill writes the rows of its span, and takes those of others out where it must."""

from __future__ import annotations

from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.span_rows import drop_other_rows
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.streams.log.records import LogRecords
from headrace.streams.state.source_partition import SourcePartition
from tests.support.backfill_logs import direct_plan, logged, past, purchase


def test_what_a_worker_wrote_of_the_span_gives_way(tmp_path):
    plan = direct_plan()
    live, log = SourcePartition(plan, plan.sources[0], 0), ParquetFeatureLog(tmp_path / "log", plan)
    for record in past([purchase(n, 1000 + 10 * n) for n in range(6)]):
        for rows in live.process(LogRecords.of([record])).rows:
            log.append(rows)
    log.flush()
    one = PartitionBackfill(plan, "by_user", 0, tmp_path / "log", tmp_path / "work", Span(1000, 1030))
    [*one.run(past([purchase(n, 960 + 10 * n) for n in range(7)]))]
    assert drop_other_rows(tmp_path / "log", plan, "by_user", Span(1000, 1030)) == 3
    rows = logged(tmp_path / "log", plan, "by_user")
    assert [row["count_amount_60_10"] for row in rows] == [5, 6, 7, 4, 5, 6]
