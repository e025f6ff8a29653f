"""The join process: outcome intake and log-and-wait join of every router of a plan, on Faust.

One process per project. More may run in its group: partitions are shared out, predictions and outcomes of
one number together; but marks, which need the clocks of all partitions, are passed on only by a process
that has all of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from headrace.schemas.errors import HeadraceError, StateError
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis_hashes import HashPublisher
from headrace.streams.join.checkpoint import Cut, JoinPartition, JoinWriter
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.example_archive import ParquetArchive
from headrace.streams.join.health import event_health, input_health, join_samples, label_samples
from headrace.streams.join.outcome_intakes import OutcomeIntakes, outcome_topics
from headrace.streams.join.restore import restore_join
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.log.offset_producer import OffsetProducer
from headrace.streams.runtime.app import add_agent, die, guarded, range_app, run_app
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.health import ProcessHealth
from headrace.streams.runtime.health_server import watch_process
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.writer_schemas import WriterSchemas

_log = logging.getLogger(__name__)

_IDLE_S = 1.0  # without anything to save, the loop that saves goes round so often


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
    """

    def __init__(self, plan: Plan, kafka: Kafka, redis_url: str, config: JoinConfig | None = None) -> None:
        self._plan, self._kafka = plan, kafka
        self._config = config or JoinConfig()
        self._publisher = HashPublisher(redis_url)
        self._inputs = dict(self._input_topics())
        self._producer = OffsetProducer(kafka)
        self._writer_schemas = WriterSchemas.at(self._config.schema_registry)
        self._writer = JoinWriter(plan.project, self._producer)
        self._writing: asyncio.Task[None] | None = None
        self._arrived, self._unsaved_records, self._saved_s = asyncio.Event(), 0, 0.0
        self._checkpoint_s = time.monotonic()  # when the last one ended
        self._app = self._build_app()
        self._assignment: Assignment[tuple[str, int], JoinPartition] = Assignment(self._app, self._restore)
        self._intakes = OutcomeIntakes(
            self._app, plan, kafka, self._publisher, self._writer_schemas, OffsetProducer(kafka)
        )

    def run(self) -> None:
        """Block until SIGTERM or SIGINT; what was read is written out and acknowledged first.

        Raises
        ------
        HeadraceError
            When the plan has no router, or the port for metrics cannot be had.
        SystemExit
            Always, at the end: 0 after a signal.
        """
        if not self._plan.routers:
            raise HeadraceError(f"project '{self._plan.project}' has no routers; there is nothing to join")
        config = self._config
        watch_process(self._kafka, self.health, config.stuck_s, config.metrics_host, config.metrics_port)
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
            self._writing is not None,
            time.monotonic() - self._checkpoint_s,
            "redis" if self._publisher.waiting else waiting,
            (*join_samples(joins), *label_samples(intakes)),
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
            f"headrace.{self._plan.project}.join",
            self._kafka,
            self._config.session_timeout_ms,
            self._config.fetch_wait_ms,
            "range",  # predictions and outcomes of one number together
            self._config.instance_id,
            owner=self,
        )
        app.on_before_shutdown.connect(self._on_shutdown, weak=False)
        add_agent(app, "join", list(self._inputs), self._on_input)
        if event_topics := sorted(outcome_topics(self._plan)):
            add_agent(app, "outcomes", event_topics, self._on_events)
        return app

    def assigned(self, partitions: set[Any]) -> None:
        """Begin to restore the partitions of an assignment, and to write what they give.

        Raises
        ------
        StateError
            When predictions and outcomes of one number are not together.
        """
        if self._writing is None:
            self._writing = asyncio.create_task(guarded(self._write_forever()))
        inputs = {tp for tp in partitions if tp.topic in self._inputs}
        self._intakes.assign((tp.topic, tp.partition) for tp in partitions - inputs)
        for tp in inputs:
            self._check_pair(tp, inputs)
        self._assignment.assign(self._name(tp) for tp in inputs)

    def revoked(self, partitions: set[Any]) -> None:
        """Give partitions up."""
        self._intakes.revoke()
        self._assignment.revoke(self._name(tp) for tp in partitions if tp.topic in self._inputs)

    def lost(self, partitions: set[Any]) -> None:
        """Drop partitions that others have."""
        self.revoked(partitions)

    def _name(self, tp: Any) -> tuple[str, int]:
        router, _ = self._inputs[tp.topic]
        return router.name, tp.partition

    def _check_pair(self, tp: Any, inputs: set[Any]) -> None:
        router, source = self._inputs[tp.topic]
        topics = self._plan.topics.router(router.name)
        other = topics.outcomes if source == "predictions" else topics.predictions
        if (other, tp.partition) not in inputs:
            raise StateError(
                f"{tp.topic}[{tp.partition}] was assigned to this join without {other}[{tp.partition}]; give "
                "both topics the same number of partitions"
            )

    async def _on_shutdown(self, app: Any, **_: Any) -> None:
        """Nothing waits to be acknowledged: end what Faust would wait two seconds for."""
        self._assignment.abandon_restores()
        self._intakes.abandon_restores()
        if self._writing is not None:
            self._writing.cancel()

    async def _restore(self, name: tuple[str, int], restoring: Restoring) -> JoinPartition:
        project, partition = self._plan.project, name[1]
        router = next(one for one in self._plan.routers if one.name == name[0])
        join, ends = await _in_thread(restore_join, self._kafka, project, router, partition, restoring)
        again = ", repeating what a crash interrupted" if join.replaying else ""
        _log.info("join %s[%d]: restored, positions %s%s", router.name, partition, join.next_offsets, again)
        return JoinPartition(project, router, partition, join, ends, sent_ms=join.released_ms)

    async def _on_input(self, message: Any) -> None:
        router, source = self._inputs[message.topic]
        part = await self._assignment.of(message, (router.name, message.partition))
        if part is not None:
            self._came(part.feed(source, message))

    def _came(self, records: int) -> None:
        self._unsaved_records += records
        self._arrived.set()

    async def _write_forever(self) -> None:
        while True:
            idle = await self._pause()
            self._release_replayed()
            if idle:
                if self._unsaved_records or self._intakes.unsaved:
                    await self._intakes.save()
                    await self._write(checkpoint=True)
            else:
                await asyncio.sleep(self._config.gather_ms / 1000)
                due = self._is_due()
                await self._write(checkpoint=due)
                if not due:
                    continue
                await self._intakes.save()
            self._checkpoint_s = time.monotonic()

    async def _pause(self) -> bool:
        """Wait for input; True when none comes for a while."""
        wait_s = self._config.pause_ms / 1000 if self._unsaved_records else _IDLE_S
        try:
            await asyncio.wait_for(self._arrived.wait(), wait_s)
        except TimeoutError:
            return True
        return False

    def _is_due(self) -> bool:
        waited_s = asyncio.get_running_loop().time() - self._saved_s
        return (
            waited_s >= self._config.checkpoint_ms / 1000
            or self._unsaved_records >= self._config.checkpoint_records
        )

    async def _write(self, checkpoint: bool) -> None:
        """Give out what has been joined; at a checkpoint save it too, and acknowledge what was read."""
        self._arrived.clear()
        if checkpoint:
            self._unsaved_records, self._saved_s = 0, asyncio.get_running_loop().time()
        owned = self._assignment.restored()
        cuts = [cut for cut in (part.cut(checkpoint) for part in owned) if cut is not None]
        if not cuts:
            return
        self._writer.send_outputs(cuts)
        self._writer.send_marks(cuts, owned)
        await _in_thread(self._finish, cuts, checkpoint)
        for cut in cuts:
            cut.of.written = cut.position
        for message in (message for cut in cuts for message in cut.messages):
            self._app.consumer.ack(message)

    def _release_replayed(self) -> None:
        """No more records come before a stop or a rebalance: whoever is next begins the replay again."""
        if self._app.flow_control.is_active():
            return
        for part in self._assignment.restored():
            for message in part.take_replayed():
                self._app.consumer.release(message)

    def _finish(self, cuts: list[Cut], checkpoint: bool) -> None:
        self._producer.flush_blocking()
        self._publisher.publish(list(self._writer.written(cuts)))
        if checkpoint:
            self._writer.send_changelog(cuts)
            self._producer.flush_blocking()

    async def _on_events(self, message: Any) -> None:
        if await self._intakes.take(message):
            self._came(len(message.value))


async def _in_thread(function: Any, *args: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)
