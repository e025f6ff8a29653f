"""The end of a backfill: its state goes to workers, in steps that can be taken again.

Rows come first, then the states of keys, and last, in one transaction, the positions and the offsets of the
workers' group. Kafka refuses that one where a worker runs. A worker that begins before it finds no position
and reads its topics from the beginning; one that begins after it finds all that the positions speak of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException

from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.shard import ShardBackfill
from headrace.schemas.errors import HeadraceError, ServiceUnavailable
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.log.producer import LogProducer
from headrace.streams.log.reader import read_log
from headrace.streams.log.transactions import PartitionsLost, Place, Records, TransactionalProducer
from headrace.streams.state.fingerprint import definition_of
from headrace.streams.state.partition import Entry, PartitionState
from headrace.streams.worker.consumer_group import worker_group, workers_run
from headrace.streams.worker.identity import topic_ids
from headrace.streams.worker.progress import feature_progress
from headrace.streams.worker.rebuild import RowStore

_OPEN_MS = 15_000  # how long a transaction of a backfill that was killed is waited for

Report = Callable[[str], None]


def position_exists(kafka: Kafka, plan: Plan, source: SourceSpec, partitions: Iterable[int]) -> bool:
    """Return whether workers of the present definitions go on from a position of a source's changelog.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    key = f"p|{definition_of(plan, source)}".encode()
    changelog = plan.topics.source(source.name).changelog
    return any(
        message.key() == key for number in partitions for message in read_log(kafka, changelog, number)
    )


@dataclass
class HandOver:
    """Gives workers the state of a source, as of the positions of a backfill.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    plan
        The plan in force.
    source
        The source.
    store
        Takes the online rows, and progress.
    report
        Called with lines that say what was done.
    """

    kafka: Kafka
    plan: Plan
    source: SourceSpec
    store: RowStore
    report: Report
    _positions: list[Records] = field(default_factory=list)
    _offsets: dict[Place, int] = field(default_factory=dict)
    _progress: list[HashUpdate] = field(default_factory=list)
    _rows: Counter[str] = field(default_factory=Counter)

    def run(self, shards: Iterable[ShardBackfill], partitions: Iterable[PartitionBackfill]) -> None:
        """Hand everything over. May be run again when it was interrupted.

        Raises
        ------
        HeadraceError
            When a worker runs.
        ServiceUnavailable
            When Kafka or the store does not answer.
        """
        if workers_run(self.plan, self.kafka):
            raise self._workers_run()
        try:
            self._write(shards, partitions)
        except KafkaException as error:
            raise ServiceUnavailable(
                f"Kafka takes no records: {error}; run the same backfill again"
            ) from error
        self._commit()
        self.store.publish(self._progress)
        for (topic, number), offset in self._offsets.items():
            self.report(f"{topic}[{number}]: workers go on at offset {offset}")
        written = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self._rows.items()))
        self.report(f"online rows: {written or 'none'}")

    def _write(self, shards: Iterable[ShardBackfill], partitions: Iterable[PartitionBackfill]) -> None:
        """Write rows, blocks and states: all but the positions."""
        topics = self.plan.topics.source(self.source.name)
        producer = LogProducer(self.kafka)
        for shard in shards:
            for past in shard.blocks():
                producer.send(topics.shuffle, shard.shard, None, past.block)
            producer.flush_blocking()
            shard.state.move(end_offsets(self.kafka, [topics.shuffle])[topics.shuffle, shard.shard])
            self._take(producer, topics.shuffle, topics.shuffle_changelog, shard.state, shard.entries())
        for partition in partitions:
            self._take(producer, self.source.topic, topics.changelog, partition.state, partition.entries())
        producer.flush_blocking()

    def _take(
        self,
        producer: LogProducer,
        topic: str,
        changelog: str,
        state: PartitionState,
        saved: Sequence[Entry],
    ) -> None:
        """Write the rows of a partition or shard, and its state but for the position."""
        state.bind(topic_ids(self.kafka, topic, changelog))
        entries = dict(saved)
        entries.update(state.snapshot())
        position = (state.position_key, entries.pop(state.position_key))
        for rows in state.emit_all():
            self._rows.update(self.store.write(rows))
        for key, value in entries.items():
            producer.send(changelog, state.partition, key, value)
        self._positions.append(Records(changelog, state.partition, [position]))
        self._offsets[topic, state.partition] = state.next_offset
        self._progress += feature_progress(self.plan, self.source.topic, state)

    def _commit(self) -> None:
        """Write the positions and the offsets of the group, all of them or none."""
        group = worker_group(self.plan)
        producer = TransactionalProducer(self.kafka, group, _OPEN_MS)
        nobody = Consumer({**client_config(self.kafka), "group.id": group, "enable.auto.commit": False})
        try:
            producer.commit(self._positions, self._offsets, nobody.consumer_group_metadata())
        except PartitionsLost as error:
            raise self._workers_run() from error
        finally:
            nobody.close()

    def _workers_run(self) -> HeadraceError:
        return HeadraceError(
            f"workers of project '{self.plan.project}' run; stop them, and run the same backfill again"
        )
