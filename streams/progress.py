"""Progress: per stage and input partition, the log prefix whose effects are visible downstream.

Progress lives in one Redis hash. The feature stage writes it in the same pipeline as the online rows it
speaks of; the others after their output is acknowledged. Anyone can wait for a prefix: clients for their
own writes, replays and tests for a barrier, operators for readiness and lag.

=========  =========================================  =========================  ====================
stage      input                                      members                    visible means
=========  =========================================  =========================  ====================
features   event topics                               direct, shard-0, shard-1…  online rows readable
outcomes   event topics that routers take labels of   routers                    in the outcomes topic
join       predictions and outcomes topics            (one)                      in examples, closings
train      examples and closings topics               learners; epochs           in published versions, epochs
serve      examples and closings topics               replicas                   in what answers requests
=========  =========================================  =========================  ====================
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import redis

from headrace.schemas import topics
from headrace.schemas.encodings import UNVERSIONED
from headrace.schemas.errors import ProgressTimeout, UnknownNameError
from headrace.streams.connections.redis_updates import PREFIX_MARK

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan

Where = tuple[str, str, int, str]  # stage, input topic, partition, member
Stage = Literal["features", "outcomes", "join", "train", "serve"]
Until = Literal["features", "examples", "models", "serve"]
EPOCHS = "epochs"  # the member of stage train that reads closings
REPLICA_TIMEOUT_MS = 15_000
VERSION = 1  # of a record of progress
_POLL_S = (0.002, 0.02)  # shortest and longest pause between two looks: a tenth of the time waited


def progress_key(project: str) -> str:
    return f"headrace:{project}:progress"


def counts_key(project: str) -> str:
    """The hash of counts, JSON objects under ``intake|topic|partition``, ``expectations|topic|partition``,
    ``sums|topic|member|partition``, ``join|router|partition`` and ``outcomes|router|topic|partition``."""
    return f"headrace:{project}:counts"


def alarms_key(project: str) -> str:
    """The hash of what should never be: numbers under ``two_partitions|source``."""
    return f"headrace:{project}:alarms"


TWO_PARTITIONS = "two_partitions"  # rows that replaced one of another partition: their key is in both
TWO_PARTITIONS_REMEDY = (
    "Have every producer of the topic choose partitions alike (confluent-kafka: partitioner=murmur2_random), "
    "or take the source's headrace.key tag out: its views then go through the shuffle, which is right for "
    "any producer"
)


def progress_field(stage: Stage, topic: str, partition: int, member: str = "") -> str:
    return f"{stage}|{topic}|{partition}|{member}"


@dataclass(frozen=True)
class Progress:
    """The prefix ``[0, next_offset)`` of an input partition is visible.

    `out` maps ``"topic|partition"`` of an output to its end offset at that moment: whoever has read that far
    has seen all that follows from the prefix. `at_ms` is the wall clock when it was written.
    """

    next_offset: int
    out: Mapping[str, int] = field(default_factory=dict)
    at_ms: int = 0

    def encode(self) -> str:
        at = self.at_ms or time.time_ns() // 1_000_000
        raw = {"v": VERSION, "next": self.next_offset, "out": dict(self.out), "at": at}
        return json.dumps(raw, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str | bytes) -> Progress:
        """Read a record. One of a version that is not known says nothing, as if it were not there: whoever
        writes it next overwrites it."""
        raw = json.loads(text)
        if raw.get("v", UNVERSIONED) not in (UNVERSIONED, VERSION):
            return cls(0)
        return cls(int(raw["next"]), raw["out"], int(raw["at"]))


class ProgressStore:
    """Reads, writes and awaits progress.

    Parameters
    ----------
    client
        A Redis client, with or without `decode_responses`.
    plan
        Tells which members a stage has, so that one that has not reported yet holds the others back.
    """

    def __init__(self, client: redis.Redis, plan: Plan) -> None:
        self._redis = client
        self._plan = plan
        self._key = progress_key(plan.project)

    def publish(self, stage: Stage, topic: str, partition: int, progress: Progress, member: str = "") -> None:
        self._redis.hset(self._key, progress_field(stage, topic, partition, member), progress.encode())

    def forget(self, stage: Stage, topic: str, partition: int, member: str) -> None:
        """Take a member back that has gone for good, such as a replica that shuts down."""
        self._redis.hdel(self._key, progress_field(stage, topic, partition, member))

    def read(self) -> dict[Where, Progress]:
        """Everything published: (stage, topic, partition, member) to progress."""
        raw: Any = self._redis.hgetall(self._key)
        found = {}
        for name, value in raw.items():
            text = name.decode() if isinstance(name, bytes) else name
            if text.startswith(PREFIX_MARK):
                continue
            stage, topic, partition, member = text.split("|")
            found[stage, topic, int(partition), member] = Progress.decode(value)
        return found

    def wait(
        self,
        topic: str,
        prefix: Mapping[int, int],
        until: Until = "features",
        timeout_s: float = 30.0,
    ) -> None:
        """Block until the effects of a prefix of a topic are visible.

        Parameters
        ----------
        topic
            An event topic, or the predictions or outcomes topic of a router.
        prefix
            Partition to next offset: everything before that offset counts.
        until
            How far downstream: ``features`` (online rows), ``examples`` (joined), ``models`` (in a published
            version) or ``serve`` (in the versions that answer).

        Raises
        ------
        ProgressTimeout
            Names the stage, the partition and the member that is behind, and by how much.
        UnknownNameError
            When no stage reads that topic.
        """
        deadline = time.monotonic() + timeout_s
        targets = {(topic, partition): offset for partition, offset in prefix.items() if offset > 0}
        steps = list(self._steps(topic, until))
        for number, stage in enumerate(steps):
            began, look = time.monotonic(), self._looks(stage, targets)
            while True:
                found = look()
                behind = list(self._behind(found, stage, targets))
                if not behind:
                    break
                now = time.monotonic()
                if now >= deadline:
                    raise ProgressTimeout(
                        f"not visible within {timeout_s:g} s: {'; '.join(sorted(set(behind))[:4])}. "
                        "See whether that process runs (`headrace status`) and what it logs"
                    )
                time.sleep(min(max(_POLL_S[0], (now - began) / 10), _POLL_S[1]))
            if number + 1 < len(steps):
                targets = self._outputs(found, stage, targets)

    def _looks(
        self, stage: Stage, targets: Mapping[tuple[str, int], int]
    ) -> Callable[[], dict[Where, Progress]]:
        """Reads what a wait needs to know: the members' own fields, or everything where replicas come and
        go. Waits look often, so what to ask for is put together once."""
        if stage == "serve":
            return self.read
        wanted = [(stage, topic, p, member) for topic, p in targets for member in self._members(stage, topic)]
        fields = [progress_field(*where) for where in wanted]

        def look() -> dict[Where, Progress]:
            values: Any = self._redis.hmget(self._key, fields) if fields else []
            return {
                where: Progress.decode(value)
                for where, value in zip(wanted, values, strict=True)
                if value is not None
            }

        return look

    def _steps(self, topic: str, until: Until) -> Iterator[Stage]:
        """The stages a topic passes on its way to `until`, in order."""
        joined = {
            name(self._plan.project, router.name)
            for router in self._plan.routers
            for name in (topics.predictions, topics.outcomes)
        }
        event_topics = {s.topic for s in self._plan.sources}
        if topic not in joined | event_topics:
            raise UnknownNameError("topic", topic, sorted(joined | event_topics))
        if until == "features":
            if topic in joined:
                raise UnknownNameError("event topic", topic, sorted(event_topics))
            yield "features"
            return
        if topic in event_topics:
            if not self._members("outcomes", topic):
                fed = sorted(t for t in event_topics if self._members("outcomes", t))
                raise UnknownNameError("outcome topic", topic, fed)
            yield "outcomes"
        yield "join"
        if until in ("models", "serve"):
            yield "train"
        if until == "serve":
            yield "serve"

    def _members(self, stage: Stage, topic: str) -> list[str]:
        plan = self._plan
        if stage == "features":
            source = next(s for s in plan.sources if s.topic == topic)
            direct = any(plan.is_direct(v) for v in plan.views_of(source.name))
            return ["direct"] * direct + [f"shard-{n}" for n in range(source.shards)]
        if stage == "outcomes":
            labelled = [r for r in plan.routers if r.outcome is not None]
            return [r.name for r in labelled if r.outcome and plan.source(r.outcome.source).topic == topic]
        if stage == "train":
            if topic in {topics.closings(plan.project, r.name) for r in plan.routers}:
                return [EPOCHS]
            return [
                arm for r in plan.routers if topics.examples(plan.project, r.name) == topic for arm in r.arms
            ]
        return [""]

    def _behind(
        self,
        found: Mapping[Where, Progress],
        stage: Stage,
        targets: Mapping[tuple[str, int], int],
    ) -> Iterator[str]:
        now = time.time_ns() // 1_000_000
        for (topic, partition), target in targets.items():
            if stage == "serve":
                members = [
                    m
                    for (s, t, p, m), seen in found.items()
                    if (s, t, p) == (stage, topic, partition) and now - seen.at_ms < REPLICA_TIMEOUT_MS
                ]
                if not members:
                    yield f"stage serve has no live replica for {topic}[{partition}]"
            else:
                members = self._members(stage, topic)
            for member in members:
                seen = found.get((stage, topic, partition, member), Progress(0))
                if seen.next_offset < target:
                    who = f" ({member})" if member else ""
                    yield (
                        f"stage {stage}{who} has {topic}[{partition}] up to offset {seen.next_offset} "
                        f"of {target}"
                    )

    def _outputs(
        self,
        found: Mapping[Where, Progress],
        stage: Stage,
        targets: Mapping[tuple[str, int], int],
    ) -> dict[tuple[str, int], int]:
        if stage == "train":
            return dict(targets)
        ends: dict[tuple[str, int], int] = {}
        for topic, partition in targets:
            for member in self._members(stage, topic):
                for name, end in found[stage, topic, partition, member].out.items():
                    out_topic, out_partition = name.rsplit("|", 1)
                    where = (out_topic, int(out_partition))
                    ends[where] = max(end, ends.get(where, 0))
        return ends
