"""The join process: outcome intake and log-and-wait join of every router of a plan, on Faust.

Any number of processes share the partitions, predictions and outcomes of one number together. Soon after an
input, each commits what follows from it in one transaction: outputs, state, and the offsets that were read.
Kafka refuses that of a process whose partitions the group has given to others. Then it drops them, and
whoever has them goes on from the last transaction.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message
from faust.types import TP

from headrace.schemas.errors import HeadraceError, ServiceUnavailable
from headrace.schemas.order_marks import order_headers
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis_hashes import HashPublisher
from headrace.streams.join.config import JoinConfig, join_group
from headrace.streams.join.example_archive import ParquetArchive
from headrace.streams.join.health import event_health, input_health, join_samples, label_samples
from headrace.streams.join.outcome_intakes import OutcomeIntakes, outcome_topics
from headrace.streams.join.owned_partition import OwnedPartition
from headrace.streams.join.restore import output_ends, restore_join
from headrace.streams.join.silence import has_read_all
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.log.kafka_producer import KafkaProducer, KafkaRecord
from headrace.streams.log.offset_producer import OffsetProducer
from headrace.streams.log.transactions import PartitionsLost
from headrace.streams.runtime.app import add_agent, die, guarded, range_app, run_app
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.health import ProcessHealth, Where
from headrace.streams.runtime.health_server import watch_process
from headrace.streams.runtime.internal_topics import process_topics
from headrace.streams.runtime.plan_watch import PlanWatch, plan_health
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.topic_checks import check_topic_settings
from headrace.streams.runtime.unread_partitions import UnreadPartitions
from headrace.streams.runtime.writer_schemas import WriterSchemas

_log = logging.getLogger(__name__)

_IDLE_S = 1.0  # without input, the loop that commits goes round so often
_HELD_S = 0.02  # and so often while an input holds the other one up
_MARK_MS = 5_000  # an order mark that is not taken so soon is given up, and written anew
_READ_EVENTS_S = 0.5  # what is known of events that are not read yet is true for so long
_MOST_HELD = 2_000  # records of an input of a partition, until the other has caught up


class JoinProcess:
    """Runs the joins of all routers of a plan until it is told to stop.

    Parameters
    ----------
    plan
        Which routers.
    kafka
        How to reach Kafka.
    redis_url
        Where progress and counts are published.
    config
        How to run.
    plan_watch
        Looks whether the plan stays in force; None where nobody looks.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        redis_url: str,
        config: JoinConfig | None = None,
        plan_watch: PlanWatch | None = None,
    ) -> None:
        self._plan_watch = plan_watch
        self._plan, self._kafka = plan, kafka
        self._config = config or JoinConfig()
        self._publisher = HashPublisher(redis_url)
        self._inputs = dict(self._input_topics())
        self._group = join_group(plan.project)
        self._producer = OffsetProducer(kafka, self._group, self._config.session_timeout_ms)
        self._writer_schemas = WriterSchemas.at(self._config.schema_registry)
        self._committing: asyncio.Task[None] | None = None
        self._marking = KafkaProducer(kafka, {"linger.ms": 0, "message.timeout.ms": _MARK_MS})
        self._read_events: dict[str, tuple[float, bool]] = {}
        self._arrived, self._ending = asyncio.Event(), False
        self._checkpoint_s = time.monotonic()  # when the last one ended
        self._given: set[Where] = set()
        self._unread = UnreadPartitions(self._is_known)
        self._app = self._build_app()
        self._assignment: Assignment[tuple[str, int], OwnedPartition] = Assignment(self._app, self._restore)
        self._intakes = OutcomeIntakes(self._app, plan, kafka, self._writer_schemas)

    def run(self) -> None:
        """Block until SIGTERM or SIGINT; what was read is written out and acknowledged first.

        Raises
        ------
        HeadraceError
            When the plan has no router, the port for metrics cannot be had, or the settings of a topic lose
            what the join lives by.
        SystemExit
            Always, at the end: 0 after a signal.
        """
        if not self._plan.routers:
            raise HeadraceError(f"project '{self._plan.project}' has no routers; there is nothing to join")
        check_topic_settings(self._kafka, process_topics(self._plan, "join"))
        config = self._config
        watch_process(self._kafka, self.health, config)
        if self._plan_watch is not None:
            self._plan_watch.start()
        archives = [archive.start() for archive in self._archives()]
        try:
            run_app(self._app, self._config.log_level)
        finally:
            for archive in archives:
                archive.stop()

    def health(self) -> ProcessHealth:
        """Return the health at this moment; may be called from any thread."""
        waiting = "schema registry" if self._writer_schemas.waiting else None
        joins, intakes = self._assignment.items(), self._intakes
        return ProcessHealth(
            (*input_health(self._plan.project, joins), *event_health(intakes)),
            self._committing is not None,
            time.monotonic() - self._checkpoint_s,
            "redis" if self._publisher.waiting else waiting,
            (*join_samples(joins), *label_samples(intakes)),
            unread=self._unread.places,
            plan=plan_health(self._plan, self._plan_watch),
        )

    def _archives(self) -> list[ParquetArchive]:
        if self._config.archive is None:
            return []
        return [
            ParquetArchive(
                self._config.archive / router.name,
                self._kafka,
                self._plan.topics.router(router.name).examples,
                on_failure=die,
            )
            for router in self._plan.routers
        ]

    def _input_topics(self) -> list[tuple[str, tuple[RouterSpec, Input]]]:
        return [
            (self._plan.topics.router(router.name).input(source), (router, source))
            for router in self._plan.routers
            for source in INPUTS
        ]

    def _build_app(self) -> Any:
        app = range_app(
            self._group,
            self._kafka,
            self._config.session_timeout_ms,
            self._config.fetch_wait_ms,
            "range",  # predictions and outcomes of one number together
            self._config.instance_id,
            owner=self,
            transactional=True,
        )
        app.on_before_shutdown.connect(self._on_shutdown, weak=False)
        add_agent(app, "join", list(self._inputs), self._on_input)
        if event_topics := sorted(outcome_topics(self._plan)):
            add_agent(app, "outcomes", event_topics, self._on_events)
        return app

    def readable(self, partitions: set[Any]) -> set[Any]:
        """Return those partitions whose predictions and outcomes are here together, and in the plan."""
        self._given = {(tp.topic, tp.partition) for tp in partitions}
        return self._unread.sort_out(partitions)

    def assigned(self, partitions: set[Any]) -> None:
        """Begin to restore the partitions of an assignment, and to commit what they give."""
        if self._committing is None:
            self._committing = asyncio.create_task(guarded(self._commit_forever()))
        inputs = {tp for tp in partitions if tp.topic in self._inputs}
        self._intakes.assign((tp.topic, tp.partition) for tp in partitions - inputs)
        self._assignment.assign(self._name(tp) for tp in inputs)

    def revoked(self, partitions: set[Any]) -> None:
        """Give partitions up."""
        self._intakes.revoke()
        self._assignment.revoke(self._name(tp) for tp in partitions if tp.topic in self._inputs)

    def lost(self, partitions: set[Any]) -> None:
        """Drop partitions that others have, and what is not committed of them."""
        lost = sorted(f"{tp.topic}[{tp.partition}]" for tp in partitions)
        _log.warning("lost %s: the group has given them to others", ", ".join(lost))
        self.revoked(partitions)

    def _name(self, tp: Any) -> tuple[str, int]:
        router, _ = self._inputs[tp.topic]
        return router.name, tp.partition

    def _is_known(self, place: Where) -> bool:
        topic, partition = place
        if topic not in self._inputs:
            return True
        router, _ = self._inputs[topic]
        topics = self._plan.topics.router(router.name)
        together = {(topics.input(source), partition) for source in INPUTS}
        return partition < router.partitions and together <= self._given

    async def _on_shutdown(self, app: Any, **_: Any) -> None:
        """Nothing waits to be acknowledged: end what Faust would wait two seconds for."""
        self._assignment.abandon_restores()
        self._intakes.abandon_restores()
        if self._committing is not None:
            self._ending = True
            self._arrived.set()
            await self._committing

    async def _restore(self, name: tuple[str, int], restoring: Restoring) -> OwnedPartition:
        project, partition = self._plan.project, name[1]
        router = next(one for one in self._plan.routers if one.name == name[0])
        join = await asyncio.to_thread(
            restore_join, self._kafka, project, router, partition, restoring, self._config
        )
        ends = await asyncio.to_thread(output_ends, self._kafka, project, router.name, partition)
        gc.freeze()  # what waits is no garbage: a collection need not look through it
        _log.info("join %s[%d]: restored, positions %s", router.name, partition, join.next_offsets)
        past_gap, max_future_ms = self._app.consumer.past_gap, self._plan.max_future_ms(router)
        plan = self._plan.hash
        return OwnedPartition(
            project, plan, router, partition, join, ends, past_gap, max_future_ms, self._config
        )

    async def _on_input(self, message: Any) -> None:
        router, source = self._inputs[message.topic]
        partition = await self._assignment.of(message, (router.name, message.partition))
        if partition is None:
            return
        self._marking.serve()
        partition.feed(source, message)
        if not partition.is_processed(source, message):
            self._app.consumer.release(message)  # a rebalance does not wait for it
        self._throttle(partition)
        if router.outcome is None or source == "outcomes":
            self._mark_order(partition)
        self._arrived.set()

    def _throttle(self, partition: OwnedPartition) -> None:
        """Read no more of an input that is far ahead of the other one in their common order."""
        consumer, number = self._app.consumer, partition.partition
        for source in INPUTS:
            held, place = partition.inputs.merge.held(source), TP(partition.topic(source), number)
            if held > _MOST_HELD:
                consumer.pause_partitions({place})
                partition.paused.add(source)
            elif source in partition.paused and held < _MOST_HELD // 2:
                partition.paused.discard(source)
                consumer.resume_partitions({place})

    def _mark_order(self, partition: OwnedPartition) -> None:
        """Write an order mark into the input that holds the other one up, if it is time to."""
        now_s, marks = time.monotonic(), partition.order_marks
        if (wanted := marks.wanted(now_s)) is None:
            return
        source, order_ms = wanted
        record = KafkaRecord(None, headers=order_headers(order_ms), partition=partition.partition)

        def report(error: KafkaError | None, message: Message) -> None:
            marks.delivered(source, None if error is not None else message.offset())

        if self._marking.offer(partition.topic(source), record, report):
            marks.asked(source, order_ms, now_s)
            self._marking.serve()

    async def _on_events(self, message: Any) -> None:
        if await self._intakes.take(message):
            self._arrived.set()

    async def _commit_forever(self) -> None:
        while not self._ending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), self._look_s())
                await asyncio.sleep(self._config.gather_ms / 1000)
                self._arrived.clear()
            await self._note_silence()
            await self._commit()
            await self._move_order()
            await asyncio.to_thread(self._publish)
            self._checkpoint_s = time.monotonic()

    def _look_s(self) -> float:
        lagging = [one.inputs.merge.lagging for one in self._assignment.restored()]
        return _HELD_S if any(lagging) else _IDLE_S

    async def _move_order(self) -> None:
        """Mark inputs that hold others up; outcomes only where no event is left that they may come from, so
        that those of a backlog keep their place in the order."""
        self._marking.serve()
        for partition in self._assignment.restored():
            lagging = partition.inputs.merge.lagging
            if lagging and (lagging[0] == "predictions" or await self._knows_events_read(partition.router)):
                self._mark_order(partition)

    async def _knows_events_read(self, router: RouterSpec) -> bool:
        """As `_has_read_events`, asked now and then."""
        until_s, answer = self._read_events.get(router.name, (0.0, False))
        if router.outcome is not None and time.monotonic() < until_s:
            return answer
        answer = await self._has_read_events(router)
        self._read_events[router.name] = time.monotonic() + _READ_EVENTS_S, answer
        return answer

    async def _note_silence(self) -> None:
        """Have silent inputs told the time; outcomes only where no event is left that they may come from."""
        for partition in self._assignment.restored():
            marks = partition.silence.marks(time.monotonic())
            if marks and ("outcomes" not in marks or await self._has_read_events(partition.router)):
                partition.tell_time(marks)

    async def _has_read_events(self, router: RouterSpec) -> bool:
        if router.outcome is None:
            return True
        topic = self._plan.source(router.outcome.source).topic
        try:
            return await asyncio.to_thread(has_read_all, self._kafka, self._group, topic)
        except (ServiceUnavailable, KafkaException) as error:
            _log.warning("%s: nobody knows whether it is silent: %s", topic, error)
            return False

    async def _commit(self) -> None:
        """Commit what follows from the ranges that are in no transaction yet, and acknowledge them."""
        member = self._app.consumer.member
        partitions, intakes = self._assignment.restored(), self._intakes.all_restored()
        taken = [*(partition.take_batch() for partition in partitions), self._intakes.take_batch()]
        batches = [batch for batch in taken if batch is not None]
        if not batches:
            return
        messages = [message for batch in batches for message in batch.messages]
        offsets = {place: offset for batch in batches for place, offset in batch.offsets.items()}
        records = [entries for batch in batches for entries in batch.records]
        try:
            await asyncio.to_thread(self._producer.commit, records, offsets, member)
        except PartitionsLost as error:
            _log.warning("a transaction was refused: %s", error)
            waiting = [message for partition in partitions for _, message in partition.messages]
            for message in (*messages, *waiting):
                self._app.consumer.release(message)
            self._assignment.drop(partitions)
            self._intakes.drop(intakes)
            return
        for batch in batches:
            batch.committed()
        for message in messages:
            self._app.consumer.ack(message)

    def _publish(self) -> None:
        """Publish how far commits have come; blocks while Redis is away."""
        end, partitions = self._producer.end, self._assignment.restored()
        updates = [update for partition in partitions for update in partition.updates(end)]
        updates += self._intakes.updates(end)
        if updates:
            self._publisher.publish(updates)
