"""A worker that died is replaced: how long until its keys are back.

Every key has state in the changelog. The worker is killed (-9), its session runs out, and a new one is
started; the time is from the start of its process to the moment its progress says that every partition is
restored. The same with a handful of keys tells start-up and memory without keys.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis

from benchmarks.streams.measure import Usage, usage_of
from benchmarks.streams.outputs import differences, online_totals
from benchmarks.streams.own_run import OwnRun
from benchmarks.streams.report import machine
from benchmarks.streams.servers import Servers, servers
from benchmarks.streams.topic_log import produce
from benchmarks.streams.workload import END_MS, PARTITIONS, WINDOWS, Encoder, Payments, Record
from headrace.deploy.local.child import Child
from headrace.streams.worker.config import WorkerConfig

_FEW = 1000  # keys of the run that tells what a worker is without keys; also how many are checked at the end


@dataclass(frozen=True)
class _Run:
    keys: int
    restore_s: float
    filled_bytes: int  # of the worker that saw every event
    restored_bytes: int
    peak_bytes: int
    redis_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams.restore", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--kafka", help="host:port of a running broker; else one is started")
    parser.add_argument("--redis", help="URL of a running Redis, an empty database; else one is started")
    options = parser.parse_args()
    print(machine())
    with servers(options.kafka, options.redis) as both:
        few, many = _restore(both, _FEW), _restore(both, options.keys)
    keys = many.keys - few.keys
    print(
        f"{many.keys:,} keys, count and sum over sliding 1 h / 5 min, {PARTITIONS} partitions\n"
        f"restored {many.restore_s:.1f} s after its process started; with {few.keys:,} keys "
        f"{few.restore_s:.1f} s\n"
        f"worker memory a key: {(many.filled_bytes - few.filled_bytes) / keys:,.0f} bytes as filled, "
        f"{(many.restored_bytes - few.restored_bytes) / keys:,.0f} as restored "
        f"(peak {(many.peak_bytes - few.peak_bytes) / keys:,.0f}); "
        f"without keys {few.filled_bytes / 2**20:,.0f} MiB\n"
        f"Redis memory a key: {many.redis_bytes / many.keys:,.0f} bytes"
    )


def _restore(both: Servers, keys: int) -> _Run:
    payments = _one_each(keys)
    store: Any = redis.Redis.from_url(both.redis)  # its types know async clients as well
    empty = store.info("memory")["used_memory"]
    with OwnRun(both, "avro") as run:
        produce(both.kafka, run.topic, _records(payments))
        worker = run.start()
        run.wait_readable()
        redis_bytes = store.info("memory")["used_memory"] - empty
        _wait_for_checkpoint(run)
        filled = _resident(worker)
        worker.kill()
        time.sleep(WorkerConfig.session_timeout_ms / 1000 + 1)
        began = time.time()
        worker = run.start()
        assert worker.pid is not None
        usage = Usage([worker.pid])
        run.wait_readable(since_ms=int(began * 1000))
        took, restored = time.time() - began, _resident(worker)
        usage.stop()
        _check(run, both, payments)
    return _Run(keys, took, filled, restored, max(usage.peak_bytes, restored), redis_bytes)


def _one_each(keys: int) -> Payments:
    """A payment of every key, spread over the last window."""
    event_ms = END_MS - WINDOWS["sliding"][0] + np.arange(keys, dtype=np.int64) * 3_000_000 // keys
    return Payments(np.arange(keys), event_ms, np.arange(keys) % 10_000)


def _records(payments: Payments) -> Iterator[Record]:
    encode = Encoder("avro")
    columns = (payments.account, payments.event_ms, payments.cents)
    for account, event_ms, cents in zip(*(column.tolist() for column in columns), strict=True):
        yield account % PARTITIONS, b"%d" % account, encode(account, event_ms, cents)


def _wait_for_checkpoint(run: OwnRun) -> None:
    """Until nothing more comes into the changelog."""
    before = -1
    while before != (before := run.changelog_end()):
        time.sleep(3 * WorkerConfig.checkpoint_ms / 1000)


def _resident(worker: Child) -> int:
    assert worker.pid is not None
    return usage_of([worker.pid])[1]


def _check(run: OwnRun, both: Servers, payments: Payments) -> None:
    """The same payments of some keys again must add to what was restored."""
    again = slice(0, _FEW)
    more = Payments(
        payments.account[again],
        np.full_like(payments.event_ms[again], payments.event_ms.max()),
        payments.cents[again],
    )
    produce(both.kafka, run.topic, _records(more))
    run.wait_readable()
    expected = {a: (2 * count, 2 * total) for a, (count, total) in more.totals(0, END_MS).items()}
    problem = differences(online_totals(run.plan, both.redis, len(more.account)), expected)
    if problem:
        raise SystemExit(f"no figure: after the restore {problem}")


if __name__ == "__main__":
    main()
