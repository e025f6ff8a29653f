"""Progress in Redis: read, written, waited for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis

from headrace.schemas.errors import ProgressTimeout
from headrace.streams.connections.redis_updates import PREFIX_MARK
from headrace.streams.progress.counts import readable
from headrace.streams.progress.record import Progress, Stage, Where, progress_field, progress_key
from headrace.streams.progress.stages import Offsets, PlanStages, Until

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan

_PARTITION = re.compile(r"[0-9]{1,9}")
_POLL_S = (0.002, 0.02)  # shortest and longest pause between two looks: a tenth of the time waited


class ProgressStore:
    """Reads, writes and awaits progress.

    Parameters
    ----------
    client
        A Redis client, with or without `decode_responses`.
    plan
        Says which members a stage has, so that one that has not reported yet holds the others back. Progress
        of another plan is waited for as if there were none.
    """

    def __init__(self, client: redis.Redis, plan: Plan) -> None:
        self._redis, self._plan, self._stages = client, plan, PlanStages(plan)
        self._key = progress_key(plan.project)

    def publish(self, stage: Stage, topic: str, partition: int, progress: Progress, member: str = "") -> None:
        """Write the progress of a member for a partition of its input, as of the plan of this store."""
        of_plan = replace(progress, plan=self._plan.hash)
        self._redis.hset(self._key, progress_field(stage, topic, partition, member), of_plan.encode())

    def forget(self, stage: Stage, topic: str, partition: int, member: str) -> None:
        """Remove the progress of a member that has gone for good, such as a replica that shuts down."""
        self._redis.hdel(self._key, progress_field(stage, topic, partition, member))

    def read(self) -> dict[Where, Progress]:
        """Return all progress by (stage, topic, partition, member)."""
        raw: Any = self._redis.hgetall(self._key)
        progress = {}
        for name, value in raw.items():
            text = readable(name)
            stage, *where = text.split("|")
            if text.startswith(PREFIX_MARK) or len(where) != 3 or not _PARTITION.fullmatch(where[1]):
                continue  # another's field says nothing
            progress[stage, where[0], int(where[1]), where[2]] = Progress.decode(value)
        return progress

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
            Names the stage, the partition and the member that is behind, and by how much, or by which other
            plan it runs.
        UnknownNameError
            When no stage reads that topic.
        """
        deadline_s = time.monotonic() + timeout_s
        targets: Offsets = {(topic, partition): offset for partition, offset in prefix.items() if offset > 0}
        stages = self._stages.between(topic, until)
        for stage, following in zip(stages, [*stages[1:], None], strict=True):
            progress = self._reached(stage, targets, deadline_s, timeout_s)
            if following is not None:
                targets = self._stages.outputs(progress, stage, targets)

    def _reached(
        self, stage: Stage, targets: Offsets, deadline_s: float, timeout_s: float
    ) -> dict[Where, Progress]:
        """Wait until a stage has reached its targets; returns its progress then."""
        began_s, look = time.monotonic(), self._looks(stage, targets)
        while True:
            progress = look()
            behind = list(self._stages.behind(progress, stage, targets))
            if not behind:
                return progress
            now_s = time.monotonic()
            if now_s >= deadline_s:
                raise ProgressTimeout(
                    f"not visible within {timeout_s:g} s: {'; '.join(sorted(set(behind))[:4])}. "
                    "See whether that process runs (`headrace status`) and what it logs"
                )
            time.sleep(min(max(_POLL_S[0], (now_s - began_s) / 10), _POLL_S[1]))

    def _looks(self, stage: Stage, targets: Offsets) -> Callable[[], dict[Where, Progress]]:
        """Reads the progress that a wait needs: the members' own fields, or everything where replicas come
        and go. Waits look often, so the request is put together once."""
        if stage == "serve":
            return self.read
        wanted = [
            (stage, topic, partition, member)
            for topic, partition in targets
            for member in self._stages.members(stage, topic)
        ]
        fields = [progress_field(*where) for where in wanted]

        def look() -> dict[Where, Progress]:
            values: Any = self._redis.hmget(self._key, fields) if fields else []
            return {
                where: Progress.decode(value)
                for where, value in zip(wanted, values, strict=True)
                if value is not None
            }

        return look
