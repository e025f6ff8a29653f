"""Event topics as a source of outcomes: what a join process reads out of them and sends on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis_hashes import HashPublisher
from headrace.streams.join.outcome_intake import OutcomeIntake, intake_published
from headrace.streams.log.offset_producer import OffsetProducer
from headrace.streams.runtime.app import guarded
from headrace.streams.runtime.restoring import Restoring, is_restored, restored_while
from headrace.streams.runtime.writer_schemas import WriterSchemas


class EventIntakes:
    """The intakes of the routers that declare where their outcomes come from.

    Parameters
    ----------
    plan
        Which routers.
    kafka
        How to reach Kafka.
    publisher
        Where progress and counts are published.
    writer_schemas
        Has the schemas that the plan does not have.
    producer
        Where outcomes and the states of the intakes go; nobody else's.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        publisher: HashPublisher,
        writer_schemas: WriterSchemas,
        producer: OffsetProducer,
    ) -> None:
        routers = [router for router in plan.routers if router.outcome is not None]
        self._intakes = [OutcomeIntake(plan, router, kafka, producer) for router in routers]
        self._project, self._publisher = plan.project, publisher
        self._writer_schemas, self._producer = writer_schemas, producer
        self._restored: asyncio.Task[None] | None = None
        self._restoring = Restoring()
        self._unsaved: list[Any] = []

    @property
    def topics(self) -> list[str]:
        return sorted({intake.source.topic for intake in self._intakes})

    @property
    def unsaved(self) -> bool:
        """Whether states wait for `save`."""
        return bool(self._unsaved)

    def restored(self) -> Sequence[OutcomeIntake]:
        """The intakes, once their states are here; may be asked from any thread."""
        task = self._restored
        return self._intakes if task is not None and is_restored(task) else []

    def start_restore(self) -> None:
        """Begin to read the states of all event partitions."""
        self.abandon()
        self._restoring = Restoring()
        self._restored = asyncio.create_task(guarded(self._restore(self._restoring)))

    def abandon(self) -> None:
        """Other processes go on from what is saved: forget the rest, and end a restore."""
        self._unsaved.clear()
        self._restoring.abandoned = True

    async def _restore(self, restoring: Restoring) -> None:
        for intake in self._intakes:
            await asyncio.to_thread(intake.restore, restoring)

    async def take(self, app: Any, message: Any) -> bool:
        """Send the outcomes of a range on, and with them the state that those before have led to.

        False when the range is to be read again, after a rebalance.
        """
        assert self._restored is not None
        if not await restored_while(self._restored, app.flow_control.is_active):
            app.consumer.release(message)
            return False
        intakes = [one for one in self._intakes if one.source.topic == message.topic]
        if not await self._can_be_read(app, intakes, message):
            return False
        saved = self._send_states()
        for intake in intakes:
            intake.send_outcomes(message.partition, message.value)
        await asyncio.to_thread(self._finish, intakes, message.partition)
        for intake in intakes:
            intake.keep_state(message.partition)
        _acknowledge(app, saved)
        self._unsaved.append(message)
        return True

    async def save(self, app: Any) -> None:
        """Make the states durable that wait for it, then acknowledge what led to them."""
        saved = self._send_states()
        await self._producer.flush()
        _acknowledge(app, saved)

    def _send_states(self) -> list[Any]:
        """Send the states of the intakes; the ranges to acknowledge once they are in the log."""
        for intake in self._intakes:
            intake.send_states()
        saved, self._unsaved = self._unsaved, []
        return saved

    def _finish(self, intakes: Sequence[OutcomeIntake], partition: int) -> None:
        self._producer.flush_blocking()
        self._publisher.publish(intake_published(self._project, intakes, partition))

    async def _can_be_read(self, app: Any, intakes: Sequence[OutcomeIntake], message: Any) -> bool:
        """Wait for the writer schemas of a range; False when it is to be read again, after a rebalance."""
        for intake in intakes:
            decoder = intake.reader(message.partition).decoder
            if not await self._writer_schemas.supply(decoder, message.value, app.flow_control.is_active):
                app.consumer.release(message)
                return False
        return bool(message.generation_id == app.consumer_generation_id)


def _acknowledge(app: Any, messages: Sequence[Any]) -> None:
    for message in messages:
        app.consumer.ack(message)
