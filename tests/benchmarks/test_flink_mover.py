"""What Flink leaves in its topic arrives in Redis, all of it, before the mover ends."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import redis

from benchmarks.streams.outputs import RedisHashes
from benchmarks.streams.peers.job import Job, marks, written
from benchmarks.streams.topic_log import delete_topics
from benchmarks.streams.workload import END_MS, PARTITIONS
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S

END = datetime.fromtimestamp(END_MS / 1000, UTC)


def test_rows_are_moved_while_they_come_and_to_the_last(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path
) -> None:
    empty = dict.fromkeys(Job.__dataclass_fields__, "")
    given = {"name": project, "folder": str(tmp_path), "bootstrap": kafka_bootstrap, "redis": redis_url}
    job = Job(**{**empty, **given, "partitions": PARTITIONS})  # type: ignore[arg-type]
    output = RedisHashes(job, {f"{project}-totals": {"message.timestamp.type": "LogAppendTime"}})
    producer = ordered_producer(kafka_bootstrap)

    def produce(accounts: range) -> None:
        for account in accounts:
            for end, total in ((f"{END:%Y-%m-%d %H:%M:%S}", account / 100), ("2001-01-01 00:00:00", 0.5)):
                row = f'{account},"{end}",{account + 1},{total!r}'.encode()
                producer.produce(f"{project}-totals", row, partition=account % PARTITIONS)
        producer.flush()

    mover = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.streams.peers.flink_mover", str(job.save())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert mover.stdout is not None
    assert mover.stdout.readline() == b"ready\n"
    produce(range(500))
    produce(range(500, 900))
    mover.communicate(timeout=PATIENCE_S)
    (tmp_path / "first-0").write_text("1.0")
    try:
        assert mover.returncode == 0
        assert output.totals() == {account: (account + 1, account / 100) for account in range(900)}
        last = marks(tmp_path)[1]
        in_topic = written(tmp_path)
        assert in_topic is not None
        assert in_topic - 1 < last, "the brokers' clock and ours"
    finally:
        delete_topics(kafka_bootstrap, project)
        client = redis.Redis.from_url(redis_url)
        client.delete(*client.scan_iter(f"{project}:*", count=10_000))
