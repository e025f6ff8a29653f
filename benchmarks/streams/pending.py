"""Predictions that wait for their outcomes: memory, work, and a restart, of the join of one partition.

The join reads predictions of 20 features, none of which has an outcome yet, and checkpoints its state as the
process does; Kafka is left out. Then every prediction gets its outcome. A restart reads the changelog.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.streams.join import _outcome, _predictions, _router
from benchmarks.streams.report import machine
from headrace.schemas.topics import RouterTopics
from headrace.streams.join.changelog import (
    POSITION_KEY,
    changelog_key,
    encode_key,
    encode_position,
    read_changelog,
)
from headrace.streams.join.input import PartitionInputs
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import Input
from headrace.streams.log.records import LogRecord

_RANGE = 2_000
_FAR_MS = 10_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams.pending", description=__doc__)
    parser.add_argument("--predictions", type=int, default=200_000, help="default 200,000")
    count = parser.parse_args().predictions
    print(machine())
    join, changelog = PartitionJoin(_router()), dict[bytes, bytes]()
    inputs = PartitionInputs(join, RouterTopics("bench", "bench"), 0, _FAR_MS)
    inputs.merge.end("outcomes")
    before = _resident()
    values = (value for _, _, value in _predictions(0, count))
    read_s = _read(join, inputs, "predictions", values, changelog, keep=count)
    held = sum(map(len, changelog.values()))
    each = (_resident() - before - held) / count
    print(f"{count:,} predictions wait: {each:,.0f} bytes each, {held / count:,.0f} of them in the changelog")
    print(f"{count / read_s:,.0f} predictions per CPU second")
    _restart(changelog, count)
    outcomes = PartitionInputs(join, RouterTopics("bench", "bench"), 0, _FAR_MS)
    outcomes.merge.end("predictions")
    values = (value for _, _, value in map(_outcome, range(count)))
    read_s = _read(join, outcomes, "outcomes", values, changelog, keep=0)
    print(f"{count / read_s:,.0f} outcomes per CPU second")


def _read(
    join: PartitionJoin,
    inputs: PartitionInputs,
    source: Input,
    values: Iterable[bytes | None],
    changelog: dict[bytes, bytes],
    keep: int,
) -> float:
    """Return the CPU seconds of the join: to make the records is not its work."""
    took_s, records = 0.0, list[LogRecord]()
    for offset, value in enumerate(values):
        records.append(LogRecord(offset, 0, None, value))
        if len(records) == _RANGE:
            took_s += _step(join, inputs, source, records, changelog, keep)
            records = []
    return took_s + _step(join, inputs, source, records, changelog, keep)


def _step(
    join: PartitionJoin,
    inputs: PartitionInputs,
    source: Input,
    records: list[LogRecord],
    changelog: dict[bytes, bytes],
    keep: int,
) -> float:
    began_s = time.process_time()
    for record in records:
        inputs.read(source, record, 0)
    inputs.process()
    written = [example.to_bytes() for example in join.take_released().examples]
    states = [(changelog_key(key), encode_key(state)) for key, state in join.take_touched().items() if state]
    position = encode_position(join.position())
    took_s = time.process_time() - began_s
    del written
    if keep:
        changelog.update(states)
        changelog[POSITION_KEY] = position
    return took_s


def _restart(changelog: dict[bytes, bytes], count: int) -> None:
    position = changelog.pop(POSITION_KEY)
    began_s = time.process_time()
    join = PartitionJoin(_router(), read_changelog([*changelog.items(), (POSITION_KEY, position)]))
    took_s = time.process_time() - began_s
    assert len(join.keys) == count
    print(f"restored in {took_s:.1f} CPU seconds, {took_s / count * 1_000_000:.1f} s for 1,000,000")


def _resident() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
