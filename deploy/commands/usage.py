"""How much a change of the plan has computed again, and how long that takes: by Redis, Kafka and files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import islice
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import redis
from confluent_kafka import KafkaException

from headrace.deploy.processes import registry_access
from headrace.deploy.settings import Settings
from headrace.deploy.udfs import transforms_of
from headrace.featurestore.backfill.past_events import from_kafka
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.featurestore.plans.usage import Amount, RedisPlanUsage
from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.learners.models.versions import each_version
from headrace.learners.project import load_project
from headrace.learners.training.trainer import Trainer
from headrace.schemas.errors import HeadraceError, RecordError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example, read_record
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import LogRecords
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.streams.state.source_partition import SourcePartition

_FILES = 2_000  # of a feature log, whose rows are counted
_RECORDS, _RANGE = 10_000, 2_000
_EXAMPLES = 300
_FEWEST = 100  # records or examples that an estimate is made of
_LONGEST_S = 0.5  # of computing, for an estimate
_NOT_TOLD = (HeadraceError, KafkaException)  # such as an account that may not read the topics
Item = TypeVar("Item")


class ProjectUsage(RedisPlanUsage):
    """Implements `PlanUsage` with everything a project can be asked for.

    Times are estimated from records of the topics, which are computed and learned here, as workers and
    trainers do, for half a second each. Where Kafka is not asked or does not say, or there are too few, there
    is no estimate.

    Parameters
    ----------
    client
        A Redis client that does not decode.
    current, wanted
        The plan in force, and the one that would be applied.
    settings
        Of the project.
    deletes_rows
        Whether `apply` deletes the rows of views that are gone.
    asks_kafka
        Whether Kafka answers.
    """

    def __init__(
        self,
        client: redis.Redis,
        current: Plan,
        wanted: Plan,
        settings: Settings,
        deletes_rows: bool,
        asks_kafka: bool,
    ) -> None:
        super().__init__(client, current)
        self._client, self._current, self._wanted, self._settings = client, current, wanted, settings
        self.deletes_rows, self._asks_kafka = deletes_rows, asks_kafka

    def logged(self, view: str) -> Amount:
        files = ViewLog(self._settings.feature_log_dir, self._current, view).files()
        try:
            rows = sum(pq.read_metadata(file).num_rows for file in files[:_FILES])
        except (OSError, pa.ArrowException):  # compaction takes files away
            return Amount(0)
        if len(files) <= _FILES:
            return Amount(rows)
        return Amount(rows * len(files) // _FILES, exact=False)

    def deleted(self, topic: str) -> int:
        return sum(begin for begin, _ in self._bounds(topic).values())

    def serving(self, learner: str) -> str:
        pointer = self._serving.get(learner)
        return pointer.version if pointer else ""

    def learned_before(self, learner: str) -> str:
        routers = [
            [router.name for router in plan.routers if learner in router.arms]
            for plan in (self._current, self._wanted)
        ]
        if routers[0] != routers[1]:  # versions are of the examples of one router
            return ""
        return self._newest.get((learner, self._wanted.learner(learner).definition), "")

    def seconds_to_compute(self, source: str) -> float | None:
        with contextlib.suppress(*_NOT_TOLD):
            return self._seconds_to_compute(source)
        return None

    def seconds_to_learn(self, learner: str) -> float | None:
        with contextlib.suppress(*_NOT_TOLD):
            return self._seconds_to_learn(learner)
        return None

    def _seconds_to_compute(self, source: str) -> float | None:
        spec = self._wanted.source(source)
        bounds = self._bounds(spec.topic)
        if not bounds:
            return None
        partition, (begin, _) = max(bounds.items(), key=lambda each: each[1][1] - each[1][0])
        views = self._wanted.views_of(source)
        transforms = transforms_of(self._wanted, views, self._settings.project_dir)
        state = SourcePartition(self._wanted, spec, partition, transforms)
        supply = RegistryLookup(registry_access(self._settings)).supply
        log = from_kafka(self._settings.kafka_access, spec.topic, partition, begin, begin + _RECORDS)
        taken = [*islice(log, _RECORDS)]
        ranges = [LogRecords.of(taken[at : at + _RANGE]) for at in range(0, len(taken), _RANGE)]
        for records in ranges:
            supply(state.decoder, records)
        each_s = _seconds_each(state.process, ranges, len)
        return each_s and each_s * sum(end - begin for begin, end in bounds.values())

    def _seconds_to_learn(self, learner: str) -> float | None:
        router = next(router for router in self._wanted.routers if learner in router.arms)
        topic = self._wanted.topics.router(router.name).examples
        if not self._bounds(topic):
            return None
        trainer = Trainer(self._wanted, load_project(self._settings.project_dir).learner(learner))
        values = (message.value() for message in read_log(self._settings.kafka_access, topic, 0))
        examples = [*islice((value for value in values if value is not None), _EXAMPLES)]

        def learn(numbered: tuple[int, bytes]) -> None:
            with contextlib.suppress(RecordError):  # a trainer turns it away
                trainer.take(numbered[0], read_record(Example.model_validate_json, numbered[1]))

        each_s = _seconds_each(learn, [*enumerate(examples)], lambda _: 1)
        return each_s and each_s * max(self.examples(arm).count for arm in router.arms)

    @cached_property
    def _serving(self) -> dict[str, ModelPointer]:
        return ModelPointers(self._client, self._current.project).serving()

    @cached_property
    def _newest(self) -> dict[tuple[str, str], str]:
        """By learner and definition the version that was published last."""
        if not self._bounds(self._current.topics.models):
            return {}
        with contextlib.suppress(*_NOT_TOLD):
            published = each_version(self._settings.kafka_access, self._current.project)
            return {(one.name, one.definition): one.version for one in published}
        return {}

    def _bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """By partition, the first offset and the one behind the last; empty where Kafka does not say."""
        if not self._asks_kafka:
            return {}
        admin = KafkaAdmin(self._settings.kafka_access)
        try:
            found = admin.metadata().topics.get(topic)
            places = [(topic, number) for number in found.partitions] if found else []
            begins, ends = admin.begin_offsets(places), admin.end_offsets(places)
        except _NOT_TOLD:
            return {}
        return {place[1]: (begins[place], ends[place]) for place in places}


def _seconds_each(
    work: Callable[[Item], object], items: Iterable[Item], size: Callable[[Item], int]
) -> float | None:
    """Processor time that one of many takes; None of too few, or where it fails."""
    begun, done = time.process_time(), 0
    for item in items:
        try:
            work(item)
        except HeadraceError:
            return None
        done += size(item)
        if time.process_time() - begun > _LONGEST_S:
            break
    return (time.process_time() - begun) / done if done >= _FEWEST else None
