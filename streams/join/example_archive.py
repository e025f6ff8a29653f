"""Parquet archive of a router's examples.

A part holds the examples of an offset range and is named by it. So the folder itself says which offset comes
next, and a part written twice after a crash is the same file: no example is lost or doubled.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from confluent_kafka import TopicPartition

from headrace.schemas.errors import RecordError
from headrace.schemas.records import Example, Prediction, Value, read_record
from headrace.streams.connections.kafka import Kafka
from headrace.streams.durable_files import finished_as, reading
from headrace.streams.log.reader import is_end, open_consumer, read_log

_log = logging.getLogger(__name__)

_PART = re.compile(r"examples-p0-(\d+)-(\d+)\.parquet")
_UNFINISHED = ".unfinished"
_ABANDONED_S = 3600
_POLL_S = 0.5
_POLL_RECORDS = 1000
_FEW_NAMES = 2000  # that a part may have, however seldom each is
_FIXED = {
    "example_id": pa.string(),
    "ts_ms": pa.int64(),
    "label_ts_ms": pa.int64(),
    "label": pa.float64(),
    "weight": pa.float64(),
    "chosen": pa.string(),
    "propensity": pa.float64(),
    "epoch": pa.int64(),
}
_GROUPS = {
    "entity": "entities",
    "feature": "features",
    "request": "request",
    "score": "scores",
    "version": "versions",
}


class ParquetArchive:
    """Appends an examples topic to Parquet parts, in a thread of its own.

    Parameters
    ----------
    directory
        Folder of the parts.
    kafka
        How to reach Kafka.
    topic
        The examples topic; its partition 0 is read.
    on_failure
        Called with an error that ends the thread early.
    part_records, part_s
        A part is written when this many examples have come, or this long after its first.
    """

    def __init__(
        self,
        directory: Path,
        kafka: Kafka,
        topic: str,
        on_failure: Callable[[BaseException], None],
        part_records: int = 20_000,
        part_s: float = 60.0,
    ) -> None:
        self._directory, self._topic, self._on_failure = directory, topic, on_failure
        self._part_records, self._part_s = part_records, part_s
        self._kafka = kafka
        self._unfinished = f".{uuid.uuid4().hex[:8]}{_UNFINISHED}"  # others may archive into this folder, too
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"archive-{topic}", daemon=True)
        self._examples: list[Example] = []
        self._width = _Width()
        self._next = self._first = 0
        self._since_s = 0.0

    def start(self) -> ParquetArchive:
        """Begin to read where the folder ends."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Read to the end of the topic, write the last part, and end the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            _remove_unfinished(self._directory)
            self._first = self._next = next_offset(self._directory)
            self._follow()
        except BaseException as error:
            self._on_failure(error)

    def _follow(self) -> None:
        consumer = open_consumer(self._kafka)
        consumer.assign([TopicPartition(self._topic, 0, self._next)])
        try:
            while not self._stopping.is_set():
                self._take(m for m in consumer.consume(_POLL_RECORDS, _POLL_S) if not is_end(m))
        finally:
            consumer.close()
        self._take(read_log(self._kafka, self._topic, 0, self._next))
        self._flush()

    def _take(self, messages: Iterable[Any]) -> None:
        unfit: list[str] = []
        for message in messages:
            self._next = message.offset() + 1
            if message.value() is not None:
                unfit += self._keep(message)
        if unfit:  # the trainer's dead letters have the records
            _log.error("%d records are no training examples and not archived, first %s", len(unfit), unfit[0])
        if self._is_due():
            self._flush()

    def _keep(self, message: Any) -> list[str]:
        """Keep an example; return why a record is none."""
        try:
            example = read_record(Example.model_validate_json, message.value())
        except RecordError as error:
            return [f"{self._topic}[0], offset {message.offset()}: {error}"]
        if not self._examples:
            self._since_s = time.monotonic()
        self._examples.append(example)
        self._width.add(example.prediction)
        if self._width.is_sparse:
            self._flush()
        return []

    def _is_due(self) -> bool:
        waited = bool(self._examples) and time.monotonic() - self._since_s >= self._part_s
        return waited or len(self._examples) >= self._part_records

    def _flush(self) -> None:
        if not self._examples:
            return
        part = self._directory / f"examples-p0-{self._first:012d}-{self._next:012d}.parquet"
        with finished_as(part, part.with_suffix(self._unfinished)) as file:
            pq.write_table(to_table(self._examples), file)
        self._examples, self._width, self._first = [], _Width(), self._next


class _Width:
    """How many columns a part has, and how many of them a row.

    A request may have fields of any names. Were each of them a column of 20,000 rows, some hundred requests
    would take all memory.
    """

    def __init__(self) -> None:
        self._names: set[tuple[str, str]] = set()
        self._widest = 0

    def add(self, prediction: Prediction) -> None:
        """Count the columns of one more row."""
        rows = [(group, getattr(prediction, attribute)) for group, attribute in _GROUPS.items()]
        self._widest = max(self._widest, sum(len(row) for _, row in rows))
        self._names.update((group, name) for group, row in rows for name in row)

    @property
    def is_sparse(self) -> bool:
        """Whether most columns are of a few rows alone."""
        return len(self._names) > max(_FEW_NAMES, 2 * self._widest)


def _remove_unfinished(directory: Path) -> None:
    """Remove what a crash has left; nobody writes at a part for an hour."""
    for file in directory.glob(f"*{_UNFINISHED}"):
        with suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _ABANDONED_S:
                file.unlink()


def next_offset(directory: Path) -> int:
    """Return the offset of the examples topic that comes next in a folder."""
    return max((int(match[2]) for match in map(_PART.fullmatch, _names(directory)) if match), default=0)


def _read_part(file: Path, wanted: Collection[str] | None) -> pa.Table:
    with reading(file, "move it and the parts behind it away; joins that start then archive them anew"):
        return pq.read_table(file, columns=_columns(file, wanted))


def read_examples(directory: Path, wanted: Collection[str] | None = None) -> pa.Table:
    """Return all archived examples in the order of their topic, one row each.

    Parameters
    ----------
    directory
        Folder of the parts.
    wanted
        Of the columns that only some examples may have, those to read; None: all.

    Columns: ``example_id, ts_ms, label_ts_ms, label, weight, chosen, propensity, epoch`` and, by what the
    examples hold, ``feature.<view__feature>``, ``request.<name>``, ``entity.<name>``, ``score.<arm>`` and
    ``version.<arm>``; null where an example has none. Of a category ``label`` is a text, and the share
    that an arm gives a class is ``score.<arm>:<class>``.
    """
    files = [directory / name for name in sorted(_names(directory)) if _PART.fullmatch(name)]
    parts = [_read_part(file, wanted) for file in files]
    if not parts:
        return to_table([])
    return _without_copies(pa.concat_tables(_alike(parts), promote_options="default"))


def _columns(file: Path, wanted: Collection[str] | None) -> list[str] | None:
    if wanted is None:
        return None
    return [name for name in pq.read_schema(file).names if name in _FIXED or name in wanted]


def _alike(parts: Sequence[pa.Table]) -> list[pa.Table]:
    """Give columns of one name one type: a request field may be whole in one part and text in another."""
    found: dict[str, set[pa.DataType]] = {}
    for part in parts:
        for field in part.schema:
            found.setdefault(field.name, set()).add(field.type)
    wanted = {name: _common(types - {pa.null()}) for name, types in found.items()}
    return [
        part.cast(pa.schema([(name, wanted[name]) for name in part.column_names]), safe=False)
        for part in parts
    ]


def _common(types: set[pa.DataType]) -> pa.DataType:
    if len(types) <= 1:
        return next(iter(types), pa.null())
    return pa.float64() if types == {pa.int64(), pa.float64()} else pa.string()


def _without_copies(table: pa.Table) -> pa.Table:
    """Keep the first row of each example: several joins may have archived into one folder."""
    if len(table["example_id"].unique()) == len(table):
        return table
    numbered = pa.table({"id": table["example_id"], "row": pa.array(range(len(table)), pa.int64())})
    first = numbered.group_by("id").aggregate([("row", "min")])["row_min"].to_numpy()
    return table.take(pa.array(sorted(first)))


def to_table(examples: Sequence[Example]) -> pa.Table:
    """Return examples as a table with the columns of `read_examples`."""
    columns = {
        name: pa.array([getattr(_holder(e, name), name) for e in examples], dtype)
        for name, dtype in _FIXED.items()
        if name != "label"
    }
    columns["label"] = _labels([example.label for example in examples])
    columns = {name: columns[name] for name in _FIXED}
    return pa.table(columns | _grouped([example.prediction for example in examples]))


def predictions_table(predictions: Sequence[Prediction], wanted: Collection[str] | None = None) -> pa.Table:
    """Return predictions as a table: ``prediction_id, ts_ms`` and the grouped columns of `read_examples`."""
    columns = {
        "prediction_id": pa.array([each.prediction_id for each in predictions], pa.string()),
        "ts_ms": pa.array([each.ts_ms for each in predictions], pa.int64()),
    }
    return pa.table(columns | _grouped(predictions, wanted))


def _grouped(predictions: Sequence[Prediction], wanted: Collection[str] | None = None) -> dict[str, pa.Array]:
    columns = {}
    for group, attribute in _GROUPS.items():
        rows: list[Mapping[str, Value]] = [getattr(prediction, attribute) for prediction in predictions]
        if group == "score":
            rows = [_flat(scores) for scores in rows]
        for name in sorted({name for row in rows for name in row}):
            if wanted is None or f"{group}.{name}" in wanted:
                columns[f"{group}.{name}"] = _array(group, [row.get(name) for row in rows])
    return columns


def _labels(labels: Sequence[float | str]) -> pa.Array:
    if any(isinstance(label, str) for label in labels):
        return pa.array([str(label) for label in labels], pa.string())
    return pa.array(labels, pa.float64())


def _flat(scores: Mapping[str, Any]) -> Mapping[str, Value]:
    """Return scores by arm; those of a category by arm and class."""
    if not any(isinstance(score, Mapping) for score in scores.values()):
        return scores
    flat = {arm: score for arm, score in scores.items() if not isinstance(score, Mapping)}
    parts = {arm: score for arm, score in scores.items() if isinstance(score, Mapping)}
    return flat | {f"{arm}:{name}": share for arm, shares in parts.items() for name, share in shares.items()}


def _holder(example: Example, name: str) -> Example | Prediction:
    return example if name in Example.model_fields else example.prediction


def _array(group: str, values: Sequence[Value]) -> pa.Array:
    """Return a column; whole and broken numbers together are float64, anything else mixed is text."""
    kinds = {type(value) for value in values if value is not None}
    if group == "score" or kinds == {int, float}:
        # Arrow would refuse a whole number that no float is.
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if len(kinds) > 1:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array(values)


def _names(directory: Path) -> list[str]:
    return os.listdir(directory) if directory.exists() else []
