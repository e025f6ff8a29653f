"""The outcomes of one router: from the partitions of its event topic to its outcomes topic."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

from headrace.schemas.errors import DefinitionError
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from headrace.schemas.records import Outcome
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import partition_count
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.join.outcome_reader import OutcomeReader
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.log.records import LogRecords
from headrace.streams.log.transactions import Records
from headrace.streams.progress import Progress, counts_key, progress_field, progress_key
from headrace.streams.runtime.restoring import Restoring

End = Callable[[str, int, int], int]


class OutcomeIntake:
    """Reads event partitions and gives outcomes and marks out.

    Its state lies in the join's changelog, partition 0, by event partition: each process writes that of the
    partitions it has.

    Parameters
    ----------
    plan, router
        Which outcomes; the router must declare where they come from.
    kafka
        How to reach Kafka.
    """

    def __init__(self, plan: Plan, router: RouterSpec, kafka: Kafka) -> None:
        if router.outcome is None:
            raise DefinitionError(
                "learners.py", f"router '{router.name}'", "it declares no outcome", "Give it one, or use HTTP"
            )
        self.router, self.source = router, plan.source(router.outcome.source)
        self._project, self._spec, self._kafka = plan.project, router.outcome, kafka
        self._plan_hash = plan.hash
        topics = plan.topics.router(router.name)
        self._changelog, self._outcomes = topics.join_changelog, topics.outcomes
        self._dead_letters = plan.topics.dead_letters
        self._judged = bool(plan.views_of(self.source.name))
        self._readers: dict[int, OutcomeReader] = {}
        self._marked_ms: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._records: list[Records] = []
        self._touched: set[int] = set()
        self._committed: dict[int, tuple[int, str]] = {}  # next offset and counts, not published yet

    def restore(self, restoring: Restoring, least: int = 0) -> None:
        """Read the state of all event partitions; blocks, until `restoring` is abandoned.

        A transaction that the last owner of one has open is waited for.

        Parameters
        ----------
        least
            Number of partitions at the least: a broker may not know yet of those that were added.
        """
        count = max(partition_count(self._kafka, self.source.topic), least)
        every = range(count)
        make = partial(OutcomeReader, judged=self._judged, router=self.router)
        self._readers = {n: make(self.source, self._spec, n) for n in every}
        by_key = {self._key(n): reader for n, reader in self._readers.items()}
        end = end_offset(self._kafka, self._changelog, 0, committed=False)
        for message in read_log(self._kafka, self._changelog, 0, until=end):
            restoring.check()
            if message.key() in by_key and message.value() is not None:
                by_key[message.key()].restore(message.value())
        self._committed = {n: self._visible(n) for n, reader in self._readers.items() if reader.next_offset}
        outcomes = range(self.router.partitions)
        self._ends = {n: end_offset(self._kafka, self._outcomes, n, committed=False) for n in outcomes}

    def read(self, partition: int, records: LogRecords) -> None:
        """Take a range of an event partition in."""
        self._touched.add(partition)
        outcomes: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for item in self._readers[partition].read(records):
            if isinstance(item, Outcome):
                key = item.key.encode()
                outcomes[partition_for(key, self.router.partitions)].append((key, item.to_bytes()))
            elif item.clock_ms > self._marked_ms.get(partition, item.clock_ms - 1):
                self._marked_ms[partition] = item.clock_ms
                self._emit(outcomes)
                self._mark(partition, item.clock_ms)
        self._emit(outcomes)
        dead_letters = self._readers[partition].take_dead_letters()
        if dead_letters:
            entries = [(one.id.encode(), one.to_bytes()) for one in dead_letters]
            self._records.append(Records(self._dead_letters, 0, entries))

    def _emit(self, outcomes: dict[int, list[tuple[bytes, bytes]]]) -> None:
        self._records += [Records(self._outcomes, target, entries) for target, entries in outcomes.items()]
        outcomes.clear()

    def _mark(self, partition: int, time_ms: int) -> None:
        """Put a mark into every partition of the outcomes, behind the outcomes of this event partition."""
        headers = mark_headers(time_ms, partition, len(self._readers))
        every = range(self.router.partitions)
        self._records += [Records(self._outcomes, target, [(None, None)], headers) for target in every]

    def take_batch(self) -> tuple[list[Records], Callable[[], None]]:
        """Return outcomes, marks and states since the last call, and a callback for their commit."""
        records, self._records = self._records, []
        touched, self._touched = sorted(self._touched), set()
        if touched:
            states = [(self._key(partition), self._readers[partition].encode()) for partition in touched]
            records.append(Records(self._changelog, 0, states))
        visible = {partition: self._visible(partition) for partition in touched}
        return records, lambda: self._committed.update(visible)

    def updates(self, end: End) -> Iterator[HashUpdate]:
        """Progress and counts that have advanced since the last call; may ask Kafka, and block."""
        committed, self._committed = self._committed, {}
        if not committed:
            return
        self._ends = {n: end(self._outcomes, n, known) for n, known in self._ends.items()}
        out = {f"{self._outcomes}|{n}": offset for n, offset in self._ends.items()}
        name, topic = self.router.name, self.source.topic
        for partition, (offset, counts) in committed.items():
            log = progress_field("outcomes", topic, partition, name)
            progress = {log: Progress(offset, out, plan=self._plan_hash).encode()}
            yield HashUpdate(progress_key(self._project), log, offset, progress)
            counted = {f"outcomes|{name}|{topic}|{partition}": counts}
            yield HashUpdate(counts_key(self._project), log, offset, counted)

    def reader(self, partition: int) -> OutcomeReader:
        return self._readers[partition]

    def _visible(self, partition: int) -> tuple[int, str]:
        reader = self._readers[partition]
        return reader.next_offset, json.dumps(asdict(reader.counts))

    def _key(self, partition: int) -> bytes:
        return intake_key(self.source.topic, partition)


def intake_key(topic: str, partition: int) -> bytes:
    """Return the key in the join's changelog of the state of a partition of an event topic."""
    return f"intake|{topic}|{partition}".encode()
