"""How many rows, records and examples a plan in force has produced, by what Redis holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import redis

from headrace.featurestore.redis_codec.layout import key_prefix, timestamp_field
from headrace.schemas.feature_specs import BatchViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.progress import ProgressStore, read_counts

_SAMPLE = 20_000  # keys that are looked at; some 30 ms
_SCAN_STEP = 2_000  # keys


@dataclass(frozen=True)
class Amount:
    """A number of things; not `exact` where it is estimated from a sample.

    >>> Amount(1).text("row", "rows"), Amount(12_000, exact=False).text("row", "rows")
    ('1 row', 'about 12,000 rows')
    """

    count: int
    exact: bool = True

    def text(self, singular: str, plural: str) -> str:
        """The amount with its noun."""
        return f"{'' if self.exact else 'about '}{self.count:,} {singular if self.count == 1 else plural}"


class PlanUsage(Protocol):
    """How much a plan in force has produced; the costs of a change follow from it.

    Attributes
    ----------
    deletes_rows
        Whether `apply` deletes the rows of views that are gone.
    """

    @property
    def deletes_rows(self) -> bool: ...

    def rows(self, view: StreamViewSpec | BatchViewSpec) -> Amount:
        """Rows of a view in the online store."""

    def records(self, topic: str) -> Amount:
        """Records of an event topic that workers have accepted or refused."""

    def examples(self, learner: str) -> Amount:
        """Records of its examples topic that a learner has passed."""

    def logged(self, view: str) -> Amount:
        """Rows in the feature log of a stream view, as far as this machine has it."""

    def deleted(self, topic: str) -> int:
        """Records that an event topic does not have any more; 0 also where Kafka is not asked."""

    def serving(self, learner: str) -> str:
        """The version of a learner that serves; empty where there is none."""

    def learned_before(self, learner: str) -> str:
        """The newest version by the definition of the new plan, from before that in force; else empty."""

    def seconds_to_compute(self, source: str) -> float | None:
        """How long one worker takes for a topic, from its beginning; None where it is not known."""

    def seconds_to_learn(self, learner: str) -> float | None:
        """How long a learner takes for the examples so far; None where it is not known."""


class NoUsage:
    """Implements `PlanUsage` for a project that has no plan in force."""

    deletes_rows = True

    def rows(self, view: StreamViewSpec | BatchViewSpec) -> Amount:
        return Amount(0)

    def records(self, topic: str) -> Amount:
        return Amount(0)

    def examples(self, learner: str) -> Amount:
        return Amount(0)

    def logged(self, view: str) -> Amount:
        return Amount(0)

    def deleted(self, topic: str) -> int:
        return 0

    def serving(self, learner: str) -> str:
        return ""

    def learned_before(self, learner: str) -> str:
        return ""

    def seconds_to_compute(self, source: str) -> float | None:
        return None

    def seconds_to_learn(self, learner: str) -> float | None:
        return None


class RedisPlanUsage(NoUsage):
    """Implements `PlanUsage` as far as Redis alone can say it.

    Redis keeps no count of the rows of a view. They are counted in a sample of its keys: exactly in a small
    store, else estimated.

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
        prefix = key_prefix([key.name for key in view.join_keys], self._plan.online.key_version)
        suffix = self._plan.project.encode()
        sample = self._sampled_keys()
        pipeline = self._redis.pipeline(transaction=False)
        for key in sample:
            if key.startswith(prefix) and key.endswith(suffix):
                pipeline.hexists(key, timestamp_field(view.name))  # type: ignore[arg-type]
        count = sum(pipeline.execute())
        if len(sample) >= self._size:
            return Amount(count)
        return Amount(round(count * self._size / len(sample)), exact=False)

    def records(self, topic: str) -> Amount:
        counts = read_counts(self._redis, self._plan.project)
        return Amount(
            sum(sum(of.values()) for name, of in counts.items() if name.startswith(f"intake|{topic}|"))
        )

    def examples(self, learner: str) -> Amount:
        routers = [router for router in self._plan.routers if learner in router.arms]
        examples_topics = [self._plan.topics.router(router.name).examples for router in routers]
        offsets = (
            progress.next_offset
            for (_, topic, _, member), progress in ProgressStore(self._redis, self._plan).read().items()
            if member == learner and topic in examples_topics
        )
        return Amount(max(offsets, default=0))

    def _sampled_keys(self) -> Sequence[bytes]:
        if self._sample is None:
            self._sample = list(dict.fromkeys(self._scan()))
        return self._sample

    def _scan(self) -> Iterator[bytes]:
        """Up to `_SAMPLE` keys. In a cluster the nodes take turns, so that a sample is of all of them."""
        size: Any = self._redis.dbsize()
        self._size = int(size)
        keys = self._redis.scan_iter(count=_SCAN_STEP)
        yield from islice(keys, _SAMPLE)
        if next(keys, None) is None:
            self._size = 0  # the sample is complete
