"""What each peer's run needs made, when it is over, and the totals it left: read outside the timed part."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import redis

from benchmarks.streams.definition import COUNT, SUM, VIEW, plan_for
from benchmarks.streams.environments import flink_jars
from benchmarks.streams.peers.job import Job
from benchmarks.streams.topic_log import create
from benchmarks.streams.workload import END_MS, Totals, Window, Workload
from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.local.child import free_port
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.plan import Plan
from headrace.streams.log.reader import end_offset
from headrace.streams.progress import ProgressStore

_CHUNK = 5000


class Output(Protocol):
    """Where the results of one run are."""

    def finished(self, exit_codes: list[int | None]) -> bool:
        """Whether everything is readable."""
        ...

    def totals(self) -> Totals:
        """Count and sum per account of the last complete window."""
        ...


class RedisHashes:
    """Rows of all but Headrace: see `peers.rows`."""

    def __init__(self, job: Job, topics: Mapping[str, Mapping[str, str]]) -> None:
        self._job = job
        create(job.bootstrap, topics)

    def finished(self, exit_codes: list[int | None]) -> bool:
        return exit_codes == [0] * len(exit_codes)

    def totals(self) -> Totals:
        client, found = redis.Redis.from_url(self._job.redis), {}
        names = list(client.scan_iter(f"{self._job.name}:*", count=_CHUNK))
        for start in range(0, len(names), _CHUNK):
            part = names[start : start + _CHUNK]
            pipeline = client.pipeline(transaction=False)
            for name in part:
                pipeline.hget(name, str(END_MS))
            for name, value in zip(part, pipeline.execute(), strict=True):
                if value is not None:
                    count, total = value.split()
                    found[int(name.rpartition(b":")[2])] = (int(count), float(total))
        return found


class FlinkRows(RedisHashes):
    """Rows taken from Flink's topic to Redis. The broker's clock says when the last was in the topic."""

    def __init__(self, job: Job, registry: str) -> None:
        super().__init__(job, {f"{job.name}-totals": {"message.timestamp.type": "LogAppendTime"}})
        mover = [sys.executable, "-m", "benchmarks.streams.peers.flink_mover", f"{job.folder}/job.json"]
        jars = [str(jar) for jar in flink_jars()]
        extra = {"jars": jars, "registry": registry, "rest_port": free_port(), "mover": mover}
        (Path(job.folder) / "flink.json").write_text(json.dumps(extra))


class HeadraceRows:
    """Rows of the online store, by the SDK."""

    def __init__(self, job: Job, workload: Workload, window: Window) -> None:
        self._job, self._keys = job, workload.keys
        made = plan_for(workload.topic, workload.format, window)
        self.plan = made.model_copy(update={"project": job.name})
        (Path(job.folder) / "plan.json").write_text(self.plan.to_json())
        ensure_topics(job.bootstrap, self.plan)
        self._ends = {p: end_offset(job.bootstrap, job.topic, p) for p in range(job.partitions)}
        self._progress = ProgressStore(redis.Redis.from_url(job.redis), self.plan)

    def finished(self, exit_codes: list[int | None]) -> bool:
        found = self._progress.read()
        reached = {partition: seen.next_offset for (_, _, partition, _), seen in found.items()}
        return all(reached.get(partition, 0) >= end for partition, end in self._ends.items())

    def totals(self) -> Totals:
        return online_totals(self.plan, self._job.redis, self._keys)


def online_totals(plan: Plan, redis_url: str, keys: int) -> Totals:
    """What a client reads of accounts ``0 .. keys``; those without payments in the window are left out."""
    client = FeatureClient(plan, redis_url, timeout_s=60)
    found: Totals = {}
    for start in range(0, keys, _CHUNK):
        accounts = range(start, min(start + _CHUNK, keys))
        rows = [{"account": account} for account in accounts]
        columns = client.get_online_features([f"{VIEW}:{COUNT}", f"{VIEW}:{SUM}"], rows).columns
        counts, sums = columns[f"{VIEW}__{COUNT}"], columns[f"{VIEW}__{SUM}"]
        found |= {a: (c, s) for a, c, s in zip(accounts, counts, sums, strict=True) if c}
    return found


def make_output(peer: str, job: Job, workload: Workload, window: Window, registry: str) -> Output:
    """What is needed before a run of this peer; what it leaves."""
    if peer == "headrace":
        return HeadraceRows(job, workload, window)
    if peer == "flink":
        return FlinkRows(job, registry)
    # Faust's worker dies when its changelog has no leader yet.
    changelog = {f"{job.name}-totals-changelog": {"cleanup.policy": "compact"}}
    return RedisHashes(job, changelog if peer == "faust" else {})


def differences(found: Totals, expected: Totals) -> str:
    """What is wrong with these totals; empty when nothing is. Counts are exact, sums to a millionth."""
    wrong = [
        account
        for account in found.keys() | expected.keys()
        if account >= 0 and not _equal(found.get(account), expected.get(account))
    ]
    if not wrong:
        return ""
    first = min(wrong)
    return (
        f"{len(wrong)} of {len(expected)} accounts are wrong; account {first} has {found.get(first)}, "
        f"expected {expected.get(first)}"
    )


def _equal(one: tuple[int, float] | None, other: tuple[int, float] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one[0] == other[0] and abs(one[1] - other[1]) < 1e-6 * max(1.0, abs(other[1]))
