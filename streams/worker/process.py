"""The worker: event topics in, online rows out, on Faust.

Per range: judge and apply the records; then, while the next range is computed, send blocks and rejected
records, write the rows and the progress that speaks of them. At a checkpoint: feature log, changelog of what
was touched with the position behind it, and then, only then, the acknowledgements. A crash anywhere repeats
work whose effects are the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import refuse_missing_topics
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.intake.expectations import Alerts, RowExpectations
from headrace.streams.intake.udf import Transform, view_udfs
from headrace.streams.log.producer import LogProducer
from headrace.streams.log.transactions import PartitionsLost, Records, TransactionalProducer
from headrace.streams.runtime.app import add_agent, guarded, range_app, run_app
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.health import ProcessHealth
from headrace.streams.runtime.health_server import watch_process
from headrace.streams.runtime.internal_topics import process_topics
from headrace.streams.runtime.plan_watch import PlanWatch, plan_health
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.topic_checks import check_topic_settings
from headrace.streams.runtime.unread_partitions import UnreadPartitions
from headrace.streams.runtime.writer_schemas import WriterSchemas
from headrace.streams.sinks import FeatureLog, OnlineSink
from headrace.streams.state.partition import Effects, PartitionState
from headrace.streams.state.shard import Shard
from headrace.streams.state.source_partition import SourcePartition
from headrace.streams.worker.config import WorkerConfig
from headrace.streams.worker.consumer_group import worker_group
from headrace.streams.worker.health import partition_health, two_partition_samples
from headrace.streams.worker.identity import identify, refuse_gap
from headrace.streams.worker.known_partitions import known_partitions
from headrace.streams.worker.owned_partition import OwnedPartition
from headrace.streams.worker.progress import feature_progress
from headrace.streams.worker.restore import restore

_log = logging.getLogger(__name__)

# A key is written once per range, so a worker that is behind takes large ones. But a block of a shuffle holds
# a whole range, and has to fit into a message.
_RANGE_RECORDS = 16_000


class WorkerProcess:
    """Runs the stream views of a plan until it is told to stop.

    Parameters
    ----------
    plan
        What to compute.
    kafka
        How to reach Kafka.
    sink
        Where online rows go.
    feature_log
        Where every emitted row is kept for training sets; None keeps none.
    transforms
        What executes the udfs of the stream views, by the view's name; `PlanError` when one is missing.
    config
        How to run.
    plan_watch
        Looks whether the plan stays in force; None where nobody looks.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        sink: OnlineSink,
        feature_log: FeatureLog | None = None,
        transforms: Mapping[str, Transform] | None = None,
        config: WorkerConfig | None = None,
        plan_watch: PlanWatch | None = None,
    ) -> None:
        self._plan_watch = plan_watch
        self._transforms = transforms or {}
        view_udfs(plan.stream_views, self._transforms)  # refuse now, not when a partition comes
        self._plan, self._kafka, self._sink = plan, kafka, sink
        self._feature_log = feature_log
        self._config = config or WorkerConfig()
        self._events = {s.topic: s for s in plan.sources if plan.views_of(s.name)}
        self._shuffles = {plan.topics.source(s.name).shuffle: s for s in self._events.values() if s.shards}
        self._checkpoint_s = time.monotonic()  # when the last one ended
        self._write_slot = asyncio.Semaphore(1)  # for ranges whose rows are being written
        self._producer = LogProducer(kafka)
        timeout_ms = self._config.session_timeout_ms
        self._transactions = TransactionalProducer(kafka, worker_group(plan), timeout_ms)
        self._row_expectations = RowExpectations(plan)
        self._writer_schemas = WriterSchemas.at(self._config.schema_registry)
        self._checkpoints: asyncio.Task[None] | None = None
        self._known: Mapping[str, int] = {}  # by topic
        self._unread = UnreadPartitions(lambda place: place[1] < self._known[place[0]])
        self._app = self._build_app()
        self._assignment: Assignment[Any, OwnedPartition] = Assignment(self._app, self._restore)

    def run(self) -> None:
        """Block until SIGTERM or SIGINT; what was read is finished and acknowledged first.

        Raises
        ------
        HeadraceError
            When the plan has no stream view, or a topic is missing: Faust would ignore it for good; or the
            settings of a topic lose what the worker lives by.
        """
        if not self._events:
            raise HeadraceError(
                f"project '{self._plan.project}' has no stream feature views; there is nothing to compute"
            )
        internal = process_topics(self._plan, "worker")
        refuse_missing_topics(self._kafka, [*self._events, *internal.lives_by, *internal.writes])
        check_topic_settings(self._kafka, internal)
        config = self._config
        watch_process(self._kafka, self.health, config)
        if self._plan_watch is not None:
            self._plan_watch.start()
        run_app(self._app, self._config.log_level)

    def _topics_read(self) -> list[str]:
        return [*self._events, *self._shuffles]

    def health(self) -> ProcessHealth:
        """Return the health at this moment; may be called from any thread."""
        waiting = "schema registry" if self._writer_schemas.waiting else None
        return ProcessHealth(
            tuple(partition_health(tp, one.restoring, one.restored) for tp, one in self._assignment.items()),
            self._checkpoints is not None,
            time.monotonic() - self._checkpoint_s,
            "redis" if self._sink.waiting else waiting,
            samples=two_partition_samples(self._events.values(), self._sink.two_partitions),
            rows=self._row_expectations.counts,
            unread=self._unread.places,
            plan=plan_health(self._plan, self._plan_watch),
        )

    def _build_app(self) -> Any:
        app = range_app(
            worker_group(self._plan),
            self._kafka,
            self._config.session_timeout_ms,
            self._config.fetch_wait_ms,
            "roundrobin",
            range_records=None if self._shuffles else _RANGE_RECORDS,
            owner=self,
            transactional=True,
        )
        app.on_before_shutdown.connect(self._on_shutdown, weak=False)
        for topic in self._topics_read():  # so that one is computed while another waits for Redis
            add_agent(app, topic, [topic], self._on_range)
        return app

    def readable(self, partitions: set[Any]) -> set[Any]:
        """Return those partitions that have a changelog; blocks."""
        self._known = known_partitions(self._kafka, self._plan)
        return self._unread.sort_out(partitions)

    def assigned(self, partitions: set[Any]) -> None:
        """Begin to restore the partitions of an assignment, and to make checkpoints."""
        if self._checkpoints is None:
            self._checkpoints = asyncio.create_task(guarded(self._checkpoint_forever()))
        self._assignment.assign(partitions)

    def revoked(self, partitions: set[Any]) -> None:
        """Give partitions up."""
        self._assignment.revoke(partitions)

    def lost(self, partitions: set[Any]) -> None:
        """Drop partitions that others have, with everything of them that is not stored yet."""
        _log.warning("lost %s: the group has given them to others", ", ".join(map(_name, partitions)))
        self._assignment.revoke(partitions)

    async def _on_shutdown(self, app: Any, **_: Any) -> None:
        """End the tasks that Faust would wait two seconds for; everything is acknowledged."""
        if self._checkpoints is not None:
            self._checkpoints.cancel()
        self._assignment.abandon_restores()

    async def _restore(self, tp: Any, restoring: Restoring) -> OwnedPartition:
        owned = self._own(tp)
        read = await asyncio.to_thread(
            restore, owned.state, self._kafka, owned.changelog, tp.partition, restoring
        )
        await asyncio.to_thread(identify, owned.state, owned.source.name, self._kafka, owned.changelog)
        refuse_gap(owned.state, owned.source.name, self._app.consumer.committed_offset(tp))
        owned.restored()
        position = owned.state.next_offset
        _log.info("%s[%d]: restored %d records, position %d", tp.topic, tp.partition, read, position)
        await self._sink.write([], self._published(owned))
        return owned

    def _own(self, tp: Any) -> OwnedPartition:
        topics = self._plan.topics
        if tp.topic in self._events:
            source = self._events[tp.topic]
            state: PartitionState = SourcePartition(self._plan, source, tp.partition, self._transforms)
            alerts = _alerts(tp, source)
            return OwnedPartition(state, source, topics.source(source.name).changelog, alerts=alerts)
        source = self._shuffles[tp.topic]
        state = Shard(self._plan, source, tp.partition)
        return OwnedPartition(state, source, topics.source(source.name).shuffle_changelog)

    async def _on_range(self, message: Any) -> None:
        owned = await self._assignment.of(message, message.tp)
        if owned is None:
            return
        if not await self._writer_schemas.supply_range(self._app, owned.state.decoder, message):
            return
        async with owned.lock:
            if message.generation_id != self._app.consumer_generation_id:  # lost in the meantime
                self._app.consumer.release(message)
                return
            refuse_gap(owned.state, owned.source.name, message.span.follows)
            effects = owned.state.process(message.value)
            await self._start_writing(owned, effects)
            owned.keep(message)

    async def _start_writing(self, owned: OwnedPartition, effects: Effects) -> None:
        """Begin to write rows, while the next range of any partition is computed; more ranges wait."""
        published = self._published(owned)
        await self._write_slot.acquire()
        await owned.wait_written()
        owned.writing = asyncio.create_task(guarded(self._write(owned, effects, published)))
        owned.writing.add_done_callback(lambda _: self._write_slot.release())

    async def _write(self, owned: OwnedPartition, effects: Effects, published: Sequence[HashUpdate]) -> None:
        self._send(owned, effects)
        for rows in effects.rows:
            self._row_expectations.check(rows.view, rows.features)
        await self._sink.write(effects.rows, published)
        if self._feature_log is not None:
            for rows in effects.rows:
                self._feature_log.append(rows)

    async def _pass_time(self) -> None:
        """Empty windows of partitions where nothing arrives, as time passes."""
        for owned in self._assignment.restored():
            if self._writer_schemas.waiting:  # what came is held back: that is no silence
                owned.last_range_s = time.monotonic()
                continue
            async with owned.lock:
                idle = time.monotonic() - owned.last_range_s >= self._config.idle_ms / 1000
                if idle and (effects := owned.state.pass_time(owned.silence.ms)) is not None:
                    await owned.wait_written()
                    await self._write(owned, effects, self._published(owned))

    def _send(self, owned: OwnedPartition, effects: Effects) -> None:
        topics = self._plan.topics
        for dead_letter in effects.rejected:
            name = topics.late if dead_letter.kind == "late" else topics.dead_letters
            defined = dead_letter.model_copy(update={"definition": owned.state.definition})
            self._producer.send(name, 0, dead_letter.id.encode(), defined.to_bytes())
        for shard, block in enumerate(effects.blocks):
            self._producer.send(topics.source(owned.source.name).shuffle, shard, None, block)

    def _published(self, owned: OwnedPartition) -> list[HashUpdate]:
        return feature_progress(self._plan, owned.source.topic, owned.state)

    async def _checkpoint_forever(self) -> None:
        while True:
            await asyncio.sleep(self._config.checkpoint_ms / 1000)
            await self._pass_time()
            await self.checkpoint()
            self._checkpoint_s = time.monotonic()
            self._report_unexpected()

    def _report_unexpected(self) -> None:
        self._row_expectations.report(time.monotonic())
        for owned in self._assignment.restored():
            owned.report_unexpected()

    async def checkpoint(self) -> None:
        """Make everything processed so far durable, then acknowledge it.

        First blocks and rejected records, then the feature log, then, in one transaction, the changelog with
        the position that says they are there, and the offsets. When the group has given this member up in
        the meantime, Kafka refuses the transaction and nothing is acknowledged.
        """
        member = self._app.consumer.member
        taken = [await owned.take_batch() for owned in self._assignment.restored()]
        batches = [batch for batch in taken if batch.messages]
        await self._producer.flush()
        if self._feature_log is not None:
            self._feature_log.flush()
        if not batches:
            return
        records = [Records(batch.changelog, batch.partition, batch.entries) for batch in batches]
        offsets = {batch.topic_partition: batch.messages[-1].span.next_offset for batch in batches}
        messages = [message for batch in batches for message in batch.messages]
        try:
            await asyncio.to_thread(self._transactions.commit, records, offsets, member)
        except PartitionsLost as error:
            _log.warning("a checkpoint was refused: %s", error)
            for message in messages:
                self._app.consumer.release(message)
            return
        for message in messages:
            self._app.consumer.ack(message)


def _alerts(tp: Any, source: SourceSpec) -> Alerts | None:
    return Alerts(f"{tp.topic}[{tp.partition}]", source.expectations) if source.expectations else None


def _name(tp: Any) -> str:
    return f"{tp.topic}[{tp.partition}]"
