"""The rows of a backfill in the feature log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.featurestore.backfill.span import Span
from headrace.featurestore.offline.feature_log import ParquetFeatureLog, ViewLog
from headrace.featurestore.offline.parquet_files import read_part, write_durably
from headrace.schemas.plan import Plan
from headrace.streams.sinks import OnlineRows

_PREFIX = "backfill-"  # of the names of its files


class SpanRows:
    """Writes the rows of one view that are as of a span.

    Parameters
    ----------
    plan
        The plan.
    view
        Name of the stream view.
    feature_log
        Folder of the feature log.
    span
        Rows as of other times are passed over.
    """

    def __init__(self, plan: Plan, view: str, feature_log: Path, span: Span) -> None:
        self._view, self._span = view, span
        self._log = ParquetFeatureLog(feature_log, plan)

    def append(self, rows: Iterable[OnlineRows]) -> None:
        """Take the rows of the view and span over into memory."""
        for each in rows:
            if each.view == self._view and each.as_of_ms in self._span:
                self._log.append(each)

    def flush(self, chunk: str) -> None:
        """Make the rows durable. A chunk of the same name that was written before is replaced."""
        self._log.flush(f"{_PREFIX}{chunk}")


def drop_other_rows(feature_log: Path, plan: Plan, view: str, span: Span) -> int:
    """Remove the rows of a span that no backfill has written; return how many.

    For events without offsets: a worker's rows as of that time follow from less of the past.
    """
    log, dropped = ViewLog(feature_log, plan, view), 0
    for file in log.files():
        if file.name.startswith(f"{log.definition}-{_PREFIX}"):
            continue
        table = read_part(file)
        times_ms = np.asarray(table["event_timestamp"].cast(pa.int64()))
        inside = np.array([int(time_ms) in span for time_ms in times_ms], np.bool_)
        if inside.any():
            dropped += int(inside.sum())
            write_durably(file, table.filter(pc.invert(pa.array(inside))))
    return dropped
