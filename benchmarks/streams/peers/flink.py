"""Flink SQL: a window aggregation over a bounded Kafka source, into another topic: it has no Redis sink.

`peers.flink_mover` beside it takes its rows on to Redis while they come.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

from benchmarks.streams.peers.job import Clock, Job, main

_POLL_S = 0.02


def run(job: Job) -> None:
    extra = json.loads((Path(job.folder) / "flink.json").read_text())
    settings = Configuration()
    for name, value in {
        "pipeline.jars": ";".join(f"file://{jar}" for jar in extra["jars"]),
        "parallelism.default": str(job.cores),
        "table.local-time-zone": "UTC",
        "pipeline.object-reuse": "true",
        "rest.address": "127.0.0.1",
        "rest.port": str(extra["rest_port"]),
        "rest.bind-port": str(extra["rest_port"]),
    }.items():
        settings.set_string(name, value)
    table = TableEnvironment.create(
        EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(settings).build()
    )
    table.execute_sql(_source(job, extra["registry"]))
    table.execute_sql(_sink(job))
    watch = threading.Thread(target=_mark_start, args=(Clock(job), extra["rest_port"]), daemon=True)
    watch.start()
    mover = _start_mover(job, extra["mover"])
    try:
        table.execute_sql(_query(job)).wait()
        mover.communicate()  # closes its input: there will be no more rows
    finally:
        mover.kill()
    if mover.returncode:
        raise SystemExit(f"the mover ended with {mover.returncode}")


def _start_mover(job: Job, command: list[str]) -> subprocess.Popen[bytes]:
    """Ready to read before the job starts, so that its own start costs Flink nothing."""
    mover = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert mover.stdout is not None
    mover.stdout.readline()
    return mover


def _source(job: Job, registry: str) -> str:
    kind = (
        f"'format' = 'avro-confluent', 'avro-confluent.url' = '{registry}'"
        if job.format == "avro"
        else "'format' = 'json'"
    )
    return f"""CREATE TABLE payments (
      account BIGINT, event_ms BIGINT, amount DOUBLE, shop STRING,
      occurred AS TO_TIMESTAMP_LTZ(event_ms, 3),
      WATERMARK FOR occurred AS occurred - INTERVAL '{job.allowance_ms // 1000}' SECOND
    ) WITH (
      'connector' = 'kafka', 'topic' = '{job.topic}', 'properties.bootstrap.servers' = '{job.bootstrap}',
      'properties.group.id' = '{job.name}', 'scan.startup.mode' = 'earliest-offset',
      'scan.bounded.mode' = 'latest-offset', {kind})"""


def _sink(job: Job) -> str:
    return f"""CREATE TABLE totals (account BIGINT, window_end TIMESTAMP(3), payments BIGINT, amount DOUBLE)
    WITH ('connector' = 'kafka', 'topic' = '{job.name}-totals', 'format' = 'csv',
      'properties.bootstrap.servers' = '{job.bootstrap}')"""


def _query(job: Job) -> str:
    length, hop = f"INTERVAL '{job.window_ms // 60_000}' MINUTE", f"INTERVAL '{job.hop_ms // 60_000}' MINUTE"
    windows = (
        f"HOP(TABLE payments, DESCRIPTOR(occurred), {hop}, {length})"
        if job.hop_ms < job.window_ms
        else f"TUMBLE(TABLE payments, DESCRIPTOR(occurred), {length})"
    )
    return f"""INSERT INTO totals SELECT account, window_end, COUNT(*), SUM(amount)
    FROM TABLE({windows}) GROUP BY account, window_start, window_end"""


def _mark_start(clock: Clock, port: int) -> None:
    """The moment the source's tasks run, by Flink's own account."""
    while True:
        time.sleep(_POLL_S)
        try:
            for job in _get(port, "/jobs")["jobs"]:
                source = _get(port, f"/jobs/{job['id']}")["vertices"][0]
                tasks = _get(port, f"/jobs/{job['id']}/vertices/{source['id']}")["subtasks"]
                running_ms = [t["status-duration"]["RUNNING"] for t in tasks if t["status"] == "RUNNING"]
                if running_ms:
                    clock.first(time.time() - max(running_ms) / 1000)
                    return
        except (OSError, LookupError, ValueError):
            continue


def _get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main(run)
