"""Made-up states of the stream engine, with every accumulator there is, and of its progress."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from headrace.schemas.avro import encode_confluent
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, SourceSpec, StreamViewSpec
from headrace.schemas.marks import mark_headers, mark_time_ms
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import OutcomeSpec
from headrace.streams.join.outcome_reader import OutcomeReader
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.progress import Progress, RunningProcess
from headrace.streams.state.shard import Shard
from headrace.streams.state.shuffle import decode_block, encode_block
from headrace.streams.state.source_partition import SourcePartition
from tests.support.golden.golden_file import Bytes, with_version_9

_PLAN = "5e884898da28047151d0e56f8dc62927"
_SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Click",
        "fields": [
            {"name": "user", "type": "long"},
            {"name": "page", "type": ["null", "string"]},
            {"name": "at_ms", "type": "long"},
            {"name": "spent", "type": ["null", "double"]},
            {"name": "items", "type": "int"},
        ],
    }
)
_FUNCTIONS = [
    ("count", "spent", "Int64", 1.0),
    ("sum", "spent", "Float64", 0.01),
    ("mean", "items", "Float64", 1.0),
    ("std", "spent", "Float64", 0.01),
    ("min", "spent", "Float64", 1.0),
    ("max", "items", "Int64", 1.0),
    ("first", "items", "Int64", 1.0),
    ("last", "spent", "Float64", 1.0),
    ("last_2", "page", "Array(String)", 1.0),
    ("last_2", "spent", "Array(Float64)", 1.0),
    ("count_distinct", "page", "Int64", 1.0),
    ("p50", "spent", "Float64", 1.0),
]
_CLICKS: list[tuple[int, str | None, int, float | None, int]] = [
    (1, "home", 1_000, 2.5, 3),
    (2, "größe", 1_500, -0.25, -1),
    (1, "cart", 900, 7.75, 4),
    (1, None, 2_100, None, 5),
]


def a_plan() -> Plan:
    """Views by user, the key of the topic, and behind a shuffle by page; two hops and a lifetime."""
    source = SourceSpec(
        name="clicks",
        topic="web.clicks",
        reader_schema=_SCHEMA,
        writer_schemas={1: _SCHEMA},
        timestamp_field="at_ms",
        key_field="user",
        tile_ms=500,
        late_tiles=4,
        max_future_ms=60_000,
        shards=1,
    )
    views = tuple(
        StreamViewSpec(
            name=f"by_{key.name}",
            source="clicks",
            join_keys=(key,),
            aggregations=tuple(
                AggregationSpec(
                    feature=f"{function}_{column}_{window_ms}",
                    function=function,
                    column=column,
                    window_ms=window_ms,
                    hop_ms=hop_ms,
                    dtype=dtype,
                    quantum=quantum,
                    precision=6,
                )
                for window_ms, hop_ms in ((2_000, 1_000), (1_000, 500), (0, 0))
                for function, column, dtype, quantum in _FUNCTIONS
            ),
        )
        for key in (FieldSpec(name="user", dtype="Int64"), FieldSpec(name="page", dtype="String"))
    )
    return Plan(project="web", sources=(source,), stream_views=views)


def _clicks() -> list[LogRecord]:
    names = ("user", "page", "at_ms", "spent", "items")
    events = [dict(zip(names, click, strict=True)) for click in _CLICKS]
    records = [
        LogRecord(n, 2_200, str(event["user"]).encode(), encode_confluent(_SCHEMA, 1, event))
        for n, event in enumerate(events)
    ]
    return [
        *records,
        LogRecord(4, 2_200, None, None, mark_headers(2_300)),
        LogRecord(5, 2_200, b"1", b"broken"),
    ]


def _partition() -> SourcePartition:
    plan = a_plan()
    return SourcePartition(plan, plan.sources[0], 0)


def _shard() -> Shard:
    plan = a_plan()
    return Shard(plan, plan.sources[0], 0)


def write_block() -> Bytes:
    return _partition().process(LogRecords.of(_clicks())).blocks


def newer_blocks(found: Sequence[bytes]) -> Bytes:
    """Blocks as a version that nobody knows yet may write them, with their checksum."""
    newer = with_version_9([block[:-4] for block in found])
    return [block + zlib.crc32(block).to_bytes(4, "little") for block in newer]


def read_block(found: Bytes) -> Bytes:
    return [encode_block(decode_block(each, 0)) for each in found]


def write_partition() -> Bytes:
    state = _partition()
    state.process(LogRecords.of(_clicks()))
    state.received(2_250)
    return _changelog(state)


def read_partition(found: Bytes) -> Bytes:
    return _changelog(_restored(_partition(), found))


def write_shard() -> Bytes:
    state = _shard()
    state.process(LogRecords.of([LogRecord(n, 0, None, raw) for n, raw in enumerate(write_block())]))
    return _changelog(state)


def read_shard(found: Bytes) -> Bytes:
    return _changelog(_restored(_shard(), found))


def _restored(state: Any, found: Bytes) -> Any:
    state.restore(zip(found[::2], found[1::2], strict=True))
    for group in state.groups.values():
        group.move(0)  # all of it is written again
    return state


def _changelog(state: Any) -> Bytes:
    entries = state.snapshot()
    assert all(value is not None for _, value in entries)
    return [part for entry in sorted(entries) for part in entry]


def _reader() -> OutcomeReader:
    spec = OutcomeSpec(source="clicks", key_field="user", label_field="spent")
    return OutcomeReader(a_plan().sources[0], spec, 3)


def write_outcomes() -> Bytes:
    reader = _reader()
    reader.read(LogRecords.of(_clicks()))
    return [reader.encode()]


def read_outcomes(found: Bytes) -> Bytes:
    reader = _reader()
    reader.restore(found[0])
    return [reader.encode()]


def write_progress() -> Bytes:
    return [Progress(7, {"web.examples|0": 3}, at_ms=2_250, plan=_PLAN).encode().encode()]


def read_progress(found: Bytes) -> Bytes:
    progress = Progress.decode(found[0])
    return [replace(progress, plan=progress.plan or _PLAN).encode().encode()]  # older ones name no plan


def write_process() -> Bytes:
    return [RunningProcess("worker", "host-7", _PLAN, 2_200, at_ms=2_250).encode().encode()]


def read_process(found: Bytes) -> Bytes:
    process = RunningProcess.decode("worker", "host-7", found[0])
    assert process is not None
    return [process.encode().encode()]


def write_marks() -> Bytes:
    return [part if isinstance(part, bytes) else part.encode() for part in mark_headers(2_300)[0]]


def read_marks(found: Bytes) -> Bytes:
    time_ms = mark_time_ms([(found[0].decode(), found[1])])
    assert time_ms == 2_300
    return write_marks()
