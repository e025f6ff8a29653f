"""Flink's rows from its topic to Redis: what users of Flink SQL, which has no Redis sink, run beside a job.

It is read as the job writes it. Rows are packed by hand, thousands in a write; hiredis reads the replies.
`python -m benchmarks.streams.peers.flink_mover JOB`; standard input ends when Flink has ended.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from benchmarks.streams.peers.job import Clock, Job, main

_AT_ONCE = 10_000
_WAIT_S = 0.05
_REQUEST_S = 30.0
_ROW = b"*4\r\n$4\r\nHSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"


class _Rows:
    """The rows of `peers.rows.Rows`: a hash per account, a field per window."""

    def __init__(self, job: Job) -> None:
        self._prefix = job.name.encode() + b":"
        self._connection = redis.Redis.from_url(job.redis).connection_pool.get_connection()

    def write(self, lines: Iterable[bytes]) -> None:
        """Lines ``account,"end of the window",count,sum``; returns when all can be read."""
        commands = [self._command(line) for line in lines]
        self._connection.send_packed_command([b"".join(commands)])
        for _ in commands:
            self._connection.read_response()

    def _command(self, line: bytes) -> bytes:
        account, end, count, total = line.split(b",")
        key, field, value = self._prefix + account, _end_ms(end), count + b" " + total
        return _ROW % (len(key), key, len(field), field, len(value), value)


@cache
def _end_ms(quoted: bytes) -> bytes:
    end = datetime.fromisoformat(quoted.strip(b'"').decode()).replace(tzinfo=UTC)
    return b"%d" % round(end.timestamp() * 1000)


class _Topic:
    """Flink's topic from its beginning on."""

    def __init__(self, job: Job) -> None:
        self._places = [
            TopicPartition(f"{job.name}-totals", p, OFFSET_BEGINNING) for p in range(job.partitions)
        ]
        self._consumer = Consumer({"bootstrap.servers": job.bootstrap, "group.id": job.name, "log_level": 3})
        self._consumer.assign(self._places)
        self._next = dict.fromkeys(range(job.partitions), 0)

    def read(self) -> list[Message]:
        """What has come, at most `_AT_ONCE`."""
        messages = self._consumer.consume(_AT_ONCE, _WAIT_S)
        for message in messages:
            self._next[message.partition()] = message.offset() + 1
        return messages

    def left(self) -> int:
        """How many records there are behind those that were read."""
        ends = {at.partition: self._consumer.get_watermark_offsets(at, _REQUEST_S)[1] for at in self._places}
        return sum(ends.values()) - sum(self._next.values())


def run(job: Job) -> None:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    rows, topic, clock, written_ms = _Rows(job), _Topic(job), Clock(job), 0
    print("ready", flush=True)
    while True:
        was_over = ended.is_set()
        messages = topic.read()
        if messages:
            rows.write([message.value() for message in messages])
            clock.last()
            written_ms = max(written_ms, max(message.timestamp()[1] for message in messages))
        elif was_over and not topic.left():
            break
    clock.written(written_ms / 1000)


if __name__ == "__main__":
    main(run)
