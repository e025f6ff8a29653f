"""Event topics as a source of outcomes: what a join process reads out of them and sends on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis_hashes import HashPublisher
from headrace.streams.join.outcome_intake import OutcomeIntake, intake_published
from headrace.streams.log.offset_producer import OffsetProducer
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.writer_schemas import WriterSchemas


class OutcomeIntakes:
    """The intakes of the routers that declare where their outcomes come from.

    An intake reads all partitions of its event topic that this process has, and is restored as one, since a
    mark is passed on as of the clocks of all partitions.

    Parameters
    ----------
    app
        The app that delivers the ranges.
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

    Attributes
    ----------
    ranges
        How many ranges were taken of each partition that this process has, since it was assigned.
    """

    def __init__(
        self,
        app: Any,
        plan: Plan,
        kafka: Kafka,
        publisher: HashPublisher,
        writer_schemas: WriterSchemas,
        producer: OffsetProducer,
    ) -> None:
        self._app, self._plan, self._kafka = app, plan, kafka
        self._publisher, self._writer_schemas, self._producer = publisher, writer_schemas, producer
        self._routers = outcome_topics(plan)
        self._assignment: Assignment[str, OutcomeIntake] = Assignment(app, self._restore)
        self._unsaved: list[Any] = []
        self.ranges: Counter[tuple[str, int]] = Counter()

    @property
    def unsaved(self) -> bool:
        """Whether states wait for `save`."""
        return bool(self._unsaved)

    def restored(self, topic: str) -> list[OutcomeIntake]:
        """The intakes of an event topic whose states are here; may be asked from any thread."""
        return [intake for intake in self._assignment.restored() if intake.source.topic == topic]

    def assign(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Begin to restore the intakes of these partitions of event topics."""
        self.ranges = Counter(dict.fromkeys(partitions, 0))
        for topic in {topic for topic, _ in self.ranges}:
            self._assignment.assign(router.name for router in self._routers[topic])

    def revoke(self) -> None:
        """Give all partitions up: other processes go on from what is saved."""
        self._assignment.revoke([name for name, _ in self._assignment.items()])
        self._unsaved.clear()
        self.ranges = Counter()

    def abandon_restores(self) -> None:
        """End the restores that still run, because the process ends."""
        self._assignment.abandon_restores()

    async def _restore(self, router: str, restoring: Restoring) -> OutcomeIntake:
        spec = next(one for one in self._plan.routers if one.name == router)
        intake = OutcomeIntake(self._plan, spec, self._kafka, self._producer)
        await asyncio.to_thread(intake.restore, restoring)
        return intake

    async def take(self, message: Any) -> bool:
        """Send the outcomes of a range on, and with them the state that those before have led to.

        False when the range is to be read again, after a rebalance.
        """
        intakes = await self._readable(message)
        if intakes is None:
            return False
        saved = self._send_states()
        for intake in intakes:
            intake.send_outcomes(message.partition, message.value)
        await asyncio.to_thread(self._finish, intakes, message.partition)
        for intake in intakes:
            intake.keep_state(message.partition)
        self._acknowledge(saved)
        self._unsaved.append(message)
        self.ranges[message.topic, message.partition] += 1
        return True

    async def save(self) -> None:
        """Make the states durable that wait for it, then acknowledge what led to them."""
        saved = self._send_states()
        await self._producer.flush()
        self._acknowledge(saved)

    def _send_states(self) -> list[Any]:
        """Send the states of the intakes; the ranges to acknowledge once they are in the log."""
        for intake in self._assignment.restored():
            intake.send_states()
        saved, self._unsaved = self._unsaved, []
        return saved

    def _finish(self, intakes: Sequence[OutcomeIntake], partition: int) -> None:
        self._producer.flush_blocking()
        self._publisher.publish(list(intake_published(self._plan.project, intakes, partition)))

    async def _readable(self, message: Any) -> list[OutcomeIntake] | None:
        """The intakes of a range, restored, with its writer schemas; None when it is to be read again."""
        intakes = []
        for router in self._routers[message.topic]:
            intake = await self._assignment.of(message, router.name)
            if intake is None:
                return None
            intakes.append(intake)
        for intake in intakes:
            decoder = intake.reader(message.partition).decoder
            if not await self._writer_schemas.supply_range(self._app, decoder, message):
                return None
        return intakes

    def _acknowledge(self, messages: Sequence[Any]) -> None:
        for message in messages:
            self._app.consumer.ack(message)


def outcome_topics(plan: Plan) -> dict[str, list[RouterSpec]]:
    """Event topics that labels are taken from, and the routers that take them."""
    routers: dict[str, list[RouterSpec]] = {}
    for router in plan.routers:
        if router.outcome is not None:
            routers.setdefault(plan.source(router.outcome.source).topic, []).append(router)
    return routers
