"""How much there is of what a plan in force has led to: rows, records, examples. As Redis tells, quickly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import redis

from headrace.featurestore.redis_codec.layout import key_prefix, timestamp_field
from headrace.schemas import topics
from headrace.schemas.feature_specs import BatchViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.progress import ProgressStore, counts_key

_SAMPLE = 20_000  # keys looked at; some 30 ms
_STEP = 2_000


@dataclass(frozen=True)
class Amount:
    """A number of things; not `exact` when it was estimated from a sample."""

    count: int
    exact: bool = True

    def of(self, one: str, many: str) -> str:
        return f"{'' if self.exact else 'about '}{self.count:,} {one if self.count == 1 else many}"


class PlanUsage(Protocol):
    """What the costs of a change are measured by."""

    def rows(self, view: StreamViewSpec | BatchViewSpec) -> Amount:
        """Rows of a view in the online store."""

    def records(self, topic: str) -> Amount:
        """Records of an event topic that the workers have judged."""

    def examples(self, learner: str) -> Amount:
        """Records of its examples topic that a learner has passed."""


class RedisPlanUsage:
    """Implements `PlanUsage`.

    Rows are counted in a sample of keys, since Redis keeps no count of them: exactly in a small store.

    Parameters
    ----------
    client
        A Redis client that does not decode.
    plan
        The plan in force.
    """

    def __init__(self, client: redis.Redis, plan: Plan) -> None:
        self._redis, self._plan = client, plan
        self._sample: list[bytes] | None = None
        self._size = 0

    def rows(self, view: StreamViewSpec | BatchViewSpec) -> Amount:
        prefix = key_prefix([key.name for key in view.join_keys])
        suffix = self._plan.project.encode()
        sample = self._keys()
        pipeline = self._redis.pipeline(transaction=False)
        for key in sample:
            if key.startswith(prefix) and key.endswith(suffix):
                pipeline.hexists(key, timestamp_field(view.name))  # type: ignore[arg-type]
        found = sum(pipeline.execute())
        if len(sample) >= self._size:
            return Amount(found)
        return Amount(round(found * self._size / len(sample)), exact=False)

    def records(self, topic: str) -> Amount:
        counts: Any = self._redis.hgetall(counts_key(self._plan.project))
        intake = [json.loads(v) for name, v in counts.items() if name.decode().startswith(f"intake|{topic}|")]
        return Amount(sum(sum(each.values()) for each in intake))

    def examples(self, learner: str) -> Amount:
        names = [topics.examples(self._plan.project, r.name) for r in self._plan.routers if learner in r.arms]
        found = ProgressStore(self._redis, self._plan).read()
        return Amount(
            max(
                (p.next_offset for (_, t, _, m), p in found.items() if m == learner and t in names), default=0
            )
        )

    def _keys(self) -> Sequence[bytes]:
        """Keys of the store, all of them or a sample."""
        if self._sample is None:
            self._sample = list(dict.fromkeys(self._scan()))
        return self._sample

    def _scan(self) -> Iterator[bytes]:
        """In a cluster the nodes take turns, so that a sample is of all of them."""
        size: Any = self._redis.dbsize()
        self._size = int(size)
        keys = self._redis.scan_iter(count=_STEP)
        yield from islice(keys, _SAMPLE)
        if next(keys, None) is None:
            self._size = 0  # all of them were seen


class NoUsage:
    """Before anything is in force there is nothing to count."""

    def rows(self, view: StreamViewSpec | BatchViewSpec) -> Amount:
        return Amount(0)

    def records(self, topic: str) -> Amount:
        return Amount(0)

    def examples(self, learner: str) -> Amount:
        return Amount(0)
