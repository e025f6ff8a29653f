"""State and its changelog without a broker: bytes of a key, time of a checkpoint, cost of a restore.

A restore is measured twice: with a changelog that holds every key once, and with one of many checkpoints of
few keys. Each runs in a process of its own, whose greatest resident set is compared with that of before.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterator

from benchmarks.streams.definition import plan_for
from benchmarks.streams.report import machine
from benchmarks.streams.workload import END_MS, Encoder
from headrace.streams.columnar.keys import encode_key
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.partition import Entry
from headrace.streams.state.source_partition import SourcePartition

_CASES = [(1_000_000, 1), (2_200, 200)]  # keys and checkpoints that write all of them
_TOUCHED = 20_000  # keys of a checkpoint


def main() -> None:
    print(machine())
    _checkpoint()
    for case in _CASES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(_restore, case), flush=True)


def _state() -> SourcePartition:
    plan = plan_for("payments", "avro", "sliding")
    return SourcePartition(plan, plan.sources[0], 0)


def _records(keys: int) -> LogRecords:
    encode = Encoder("avro")
    return LogRecords.of([LogRecord(n, END_MS, b"", encode(n, END_MS, 5)) for n in range(keys)])


def _checkpoint() -> None:
    state = _state()
    state.process(_records(_TOUCHED))
    began = time.process_time()
    entries = state.snapshot()
    took_us = (time.process_time() - began) * 1e6 / _TOUCHED
    size = sum(len(value or b"") for _, value in entries) / _TOUCHED
    print(f"checkpoint: {took_us:.2f} us and {size:,.0f} bytes a touched key, one tile each")


def _changelog(keys: int, checkpoints: int) -> Iterator[Entry]:
    """Records that are made as they are read, as those of a log are."""
    state = _state()
    state.process(_records(1))
    (key, value), *position = state.snapshot()
    prefix = key.removesuffix(encode_key((0,)))
    for _ in range(checkpoints):
        for number in range(keys):
            yield prefix + encode_key((number,)), bytes(bytearray(value or b""))
        yield from position


def _restore(keys: int, checkpoints: int) -> str:
    state, entries = _state(), _changelog(keys, checkpoints)
    first = next(entries)
    before, began = _most_kib(), time.process_time()
    state.restore(entry for part in ([first], entries) for entry in part)
    took_s = time.process_time() - began
    assert state.key_count == keys
    return (
        f"restore of {keys:,} keys written {checkpoints} times: {took_s:.1f} s of CPU, "
        f"{(_most_kib() - before) / 1024:,.0f} MiB more at most, {(_most_kib() - before) * 1024 / keys:,.0f} "
        "bytes a key"
    )


def _most_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
