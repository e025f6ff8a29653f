"""The outcomes of one router: from every partition of its event topic to its outcomes topic."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from headrace.schemas.errors import DefinitionError
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from headrace.schemas.records import Outcome
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import partition_count
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.join.outcome_reader import MarkForwarder, OutcomeReader
from headrace.streams.log.offset_producer import OffsetProducer
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.log.records import LogRecords
from headrace.streams.progress import Progress, counts_key, progress_field, progress_key
from headrace.streams.runtime.restoring import Restoring


class OutcomeIntake:
    """Reads event partitions and sends outcomes and marks on.

    Its state lies in the join's changelog, partition 0, so that clocks and counts outlive a restart.

    Parameters
    ----------
    plan, router
        Which outcomes; the router must declare where they come from.
    kafka
        How to reach Kafka.
    producer
        Where they are sent; the caller flushes.
    """

    def __init__(self, plan: Plan, router: RouterSpec, kafka: Kafka, producer: OffsetProducer) -> None:
        if router.outcome is None:
            raise DefinitionError(
                "learners.py", f"router '{router.name}'", "it declares no outcome", "Give it one, or use HTTP"
            )
        self.router, self.source = router, plan.source(router.outcome.source)
        self._spec, self._kafka, self._producer = router.outcome, kafka, producer
        topics = plan.topics.router(router.name)
        self._changelog, self._outcomes = topics.join_changelog, topics.outcomes
        self._readers: dict[int, OutcomeReader] = {}
        self._marks = MarkForwarder(0)
        self._ends: dict[int, int] = {}
        self._unsaved: dict[int, bytes] = {}

    def restore(self, restoring: Restoring) -> None:
        """Read the state of all event partitions; blocks, until `restoring` is abandoned."""
        count = partition_count(self._kafka, self.source.topic)
        self._readers = {n: OutcomeReader(self.source, self._spec, n) for n in range(count)}
        by_key = {self._key(n): reader for n, reader in self._readers.items()}
        for message in read_log(self._kafka, self._changelog, 0):
            restoring.check()
            if message.key() in by_key and message.value() is not None:
                by_key[message.key()].restore(message.value())
        self._marks = MarkForwarder(count)
        self._marks.hear({n: reader.clock_ms for n, reader in self._readers.items()})
        self._unsaved.clear()
        every = range(self.router.partitions)
        self._ends = {n: end_offset(self._kafka, self._outcomes, n) for n in every}

    def send_outcomes(self, partition: int, records: LogRecords) -> None:
        """Send what a range of an event partition gives."""
        reader = self._readers[partition]
        for item in reader.read(records):
            if isinstance(item, Outcome):
                key = item.key.encode()
                target = partition_for(key, self.router.partitions)
                self._producer.send(self._outcomes, target, key, item.to_bytes())
            else:
                self._send_mark(self._marks.forward(partition, item))
        self._marks.hear({partition: reader.clock_ms})

    def keep_state(self, partition: int) -> None:
        """Keep the state of an event partition for `send_states`, once its outcomes are in the log."""
        self._unsaved[partition] = self._readers[partition].encode()

    def send_states(self) -> None:
        """Send the states that were kept."""
        for partition, state in self._unsaved.items():
            self._producer.send(self._changelog, 0, self._key(partition), state)
        self._unsaved.clear()

    def progress(self, partition: int) -> Progress:
        """How far the partition is, and where the outcomes topic ends."""
        ends = {n: self._producer.end(self._outcomes, n, end) for n, end in self._ends.items()}
        out = {f"{self._outcomes}|{n}": end for n, end in ends.items()}
        return Progress(self._readers[partition].next_offset, out)

    def reader(self, partition: int) -> OutcomeReader:
        return self._readers[partition]

    def _send_mark(self, time_ms: int | None) -> None:
        if time_ms is not None:
            for target in range(self.router.partitions):
                self._producer.send(self._outcomes, target, None, None, mark_headers(time_ms))

    def _key(self, partition: int) -> bytes:
        return f"intake|{self.source.topic}|{partition}".encode()


def intake_published(project: str, intakes: Sequence[OutcomeIntake], partition: int) -> Iterator[HashUpdate]:
    """Progress and counts of one partition of the event topic of these."""
    for intake in intakes:
        name, topic, reader = intake.router.name, intake.source.topic, intake.reader(partition)
        log = progress_field("outcomes", topic, partition, name)
        progress = {log: intake.progress(partition).encode()}
        counts = {f"outcomes|{name}|{topic}|{partition}": json.dumps(asdict(reader.counts))}
        yield HashUpdate(progress_key(project), log, reader.next_offset, progress)
        yield HashUpdate(counts_key(project), log, reader.next_offset, counts)
