"""Event topics as a source of outcomes: what a join process reads out of them and sends on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.join.outcome_intake import OutcomeIntake
from headrace.streams.join.owned_partition import CheckpointBatch, End
from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.writer_schemas import WriterSchemas


class OutcomeIntakes:
    """The intakes of the routers that declare where their outcomes come from.

    An intake reads those partitions of its event topic that this process has, and is restored as one.

    Parameters
    ----------
    app
        The app that delivers the ranges.
    plan
        Which routers.
    kafka
        How to reach Kafka.
    writer_schemas
        Has the schemas that the plan does not have.

    Attributes
    ----------
    ranges
        How many ranges were taken of each partition that this process has, since it was assigned.
    """

    def __init__(self, app: Any, plan: Plan, kafka: Kafka, writer_schemas: WriterSchemas) -> None:
        self._app, self._plan, self._kafka = app, plan, kafka
        self._writer_schemas = writer_schemas
        self._routers = outcome_topics(plan)
        self._assignment: Assignment[str, OutcomeIntake] = Assignment(app, self._restore)
        self._messages: list[Any] = []
        self.ranges: Counter[tuple[str, int]] = Counter()

    def restored(self, topic: str) -> list[OutcomeIntake]:
        """The intakes of an event topic whose states are here; may be asked from any thread."""
        return [intake for intake in self._assignment.restored() if intake.source.topic == topic]

    def all_restored(self) -> list[OutcomeIntake]:
        """The intakes of all event topics whose states are here."""
        return self._assignment.restored()

    def assign(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Begin to restore the intakes of these partitions of event topics."""
        self.ranges = Counter(dict.fromkeys(partitions, 0))
        for topic in {topic for topic, _ in self.ranges}:
            self._assignment.assign(router.name for router in self._routers[topic])

    def revoke(self) -> None:
        """Give all partitions up: other processes go on from what is committed."""
        self._assignment.revoke([name for name, _ in self._assignment.items()])
        for message in self._messages:
            self._app.consumer.release(message)
        self._messages.clear()
        self.ranges = Counter()

    def drop(self, intakes: Iterable[OutcomeIntake]) -> None:
        """Give everything up if these are still the intakes: their ranges could not be committed."""
        if set(map(id, intakes)) & set(map(id, self.all_restored())):
            self.revoke()

    def abandon_restores(self) -> None:
        """End the restores that still run, because the process ends."""
        self._assignment.abandon_restores()

    async def _restore(self, router: str, restoring: Restoring) -> OutcomeIntake:
        spec = next(one for one in self._plan.routers if one.name == router)
        intake = OutcomeIntake(self._plan, spec, self._kafka)
        given = [partition for topic, partition in self.ranges if topic == intake.source.topic]
        await asyncio.to_thread(intake.restore, restoring, max(given, default=-1) + 1)
        return intake

    async def take(self, message: Any) -> bool:
        """Take a range in. False when it is to be read again, after a rebalance."""
        intakes = await self._readable(message)
        if intakes is None:
            return False
        if message.generation_id != self._app.consumer_generation_id:  # lost in the meantime
            self._app.consumer.release(message)
            return False
        for intake in intakes:
            intake.read(message.partition, message.value)
        self._messages.append(message)
        self.ranges[message.topic, message.partition] += 1
        return True

    def take_batch(self) -> CheckpointBatch | None:
        """Return what follows from the ranges since the last call; None without one."""
        if not self._messages:
            return None
        messages, self._messages = self._messages, []
        taken = [intake.take_batch() for intake in self._assignment.restored()]

        def committed() -> None:
            for _, intake_committed in taken:
                intake_committed()

        records = [batch for records, _ in taken for batch in records]
        offsets = {(message.topic, message.partition): message.span.next_offset for message in messages}
        return CheckpointBatch(records, messages, committed, offsets)

    def updates(self, end: End) -> Iterator[HashUpdate]:
        """Progress and counts that have advanced since the last call; may ask Kafka, and block."""
        for intake in self._assignment.restored():
            yield from intake.updates(end)

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


def outcome_topics(plan: Plan) -> dict[str, list[RouterSpec]]:
    """Event topics that labels are taken from, and the routers that take them."""
    routers: dict[str, list[RouterSpec]] = {}
    for router in plan.routers:
        if router.outcome is not None:
            routers.setdefault(plan.source(router.outcome.source).topic, []).append(router)
    return routers
