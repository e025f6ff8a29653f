"""The consumer of one router's closings topic: computes its epochs and puts them in force."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Literal

from confluent_kafka import Message

from headrace.learners.models.pointers import ModelPointers
from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.training.config import REPEAT_S
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.past import Past
from headrace.schemas.errors import RecordError
from headrace.schemas.event_times import time_fault
from headrace.schemas.marks import mark_time_ms
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing, Epoch, read_record
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.log.records import appended_ms, headers_of
from headrace.streams.runtime.health import Sample

_log = logging.getLogger(__name__)


class ClosingConsumer:
    """Computes the epochs of a router from its closings.

    An epoch is committed to its topic together with the state that it follows from, then put in force in
    Redis. Who takes over goes on from that state, to the same epochs.

    Parameters
    ----------
    plan
        The plan in force.
    router
        Whose epochs.
    state
        As the log has it; None: from offset 0 on.
    partitions
        Number of partitions of the closings topic.
    log
        Takes epochs, and records that are no closings.
    pointers
        Where epochs are put in force.
    past
        What topics know where the log has no state.

    Attributes
    ----------
    topic
        The topic that is read.
    refused
        How many records were refused since the start.
    """

    def __init__(
        self,
        plan: Plan,
        router: RouterSpec,
        state: str | None,
        partitions: int,
        log: TrainingLog,
        pointers: ModelPointers,
        past: Past,
    ) -> None:
        topics = plan.topics.router(router.name)
        self.topic, self._epochs_topic = topics.closings, topics.epochs
        self._keeper = EpochKeeper(router, plan.hash, partitions)
        self._log, self._pointers = log, pointers
        self._partitions = partitions
        self._wait_ms, self._max_future_ms = router.wait_ms, plan.max_future_ms(router)
        self.refused = 0
        self._announced: tuple[int, dict[int, int]] | None = None  # epoch and prefixes
        self._repeated_s = time.monotonic()
        self._unsaved: list[Epoch] = []
        if state is not None and not self._keeper.restore(state):
            _log.warning("router '%s' has new arms or rules; %s", router.name, self._tell_of_rules())
            self._unsaved.append(self._keeper.current)
        elif state is None and (last := past.epoch(router.name)) is not None:
            self._keeper.succeed(last, past.closings(router))
            _log.warning("the evidence of router '%s' is lost; %s", router.name, self._tell_of_rules())
            self._unsaved.append(self._keeper.current)

    def offset(self, partition: int) -> int:
        """Return the next offset to read."""
        return self._keeper.offset(partition)

    def samples(self) -> Iterator[Sample]:
        """Return the number of the epoch in force as a metric. Safe to call from any thread."""
        current = self._keeper.current
        place = {"router": current.router}
        yield Sample("train_epoch", "Number of the newest epoch", place, current.epoch)
        meaning = "Closings that became dead letters"
        yield Sample("train_closings_refused", meaning, place, self.refused, grows=True)

    def reach(self, partition: int, offset: int) -> None:
        """Advance to `offset`: no record is left before."""
        self._keeper.reach(partition, offset)

    def begin(self) -> None:
        """Put the newest epoch of the restored state in force."""
        self.tick()

    def take(self, message: Message) -> None:
        """Add the closing of one record, or advance to its time mark."""
        partition, offset = int(message.partition() or 0), int(message.offset() or 0)
        value = message.value()
        if value is None:
            time_ms = mark_time_ms(headers_of(message))
            why = "it is no time mark" if time_ms is None else self._time_fault(message, time_ms)
            if time_ms is None or why is not None:
                return self._refuse(message, "malformed", f"a record without a value: {why}")
            epochs = self._keeper.mark(partition, offset, time_ms)
        else:
            epochs = self._closing(message, partition, offset, value)
        self._unsaved += epochs

    def _closing(self, message: Message, partition: int, offset: int, value: bytes | str) -> list[Epoch]:
        try:
            closing = read_record(Closing.model_validate_json, value)
        except RecordError as error:
            self._refuse(message, "malformed", str(error))
            return []
        try:
            if why := self._time_fault(message, closing.prediction.ts_ms + self._wait_ms):
                raise RecordError(why)
            return self._keeper.take(partition, offset, closing)
        except RecordError as error:
            self._refuse(message, "invalid", str(error))
            return []

    def _time_fault(self, message: Message, time_ms: int) -> str | None:
        return time_fault(time_ms, appended_ms(message), self._max_future_ms)

    def _refuse(self, message: Message, kind: Literal["malformed", "invalid"], reason: str) -> None:
        partition, offset = int(message.partition() or 0), int(message.offset() or 0)
        if offset >= self._keeper.offset(partition):
            self.refused += 1
            self._log.dead_letter(message, reason, kind)
            self._keeper.reach(partition, offset + 1)

    def tick(self) -> None:
        """Publish epochs that have become complete, and put the newest in force.

        Every `REPEAT_S` it is put into Redis again, which may have lost it.
        """
        if self._unsaved:
            self._save(self._unsaved)
            self._unsaved = []
        epoch, era = self._keeper.in_force
        offsets = {n: self._keeper.offset(n) for n in range(self._partitions)}
        is_new = self._announced is None or self._announced[0] != epoch.epoch
        is_due = time.monotonic() - self._repeated_s >= REPEAT_S
        if (epoch.epoch, offsets) == self._announced and not is_due:
            return
        self._pointers.put_in_force(epoch, self.topic, offsets, era, self._keeper.era)
        if is_new:
            _log.info("%s: epoch %d: %s", epoch.router, epoch.epoch, epoch.propensities)
        self._announced, self._repeated_s = (epoch.epoch, offsets), time.monotonic()

    def _tell_of_rules(self) -> str:
        epoch, _ = self._keeper.in_force
        if epoch is self._keeper.current:
            return f"epoch {epoch.epoch} follows from the evidence so far"
        return f"epoch {epoch.epoch} stays in force until as many closings are read by them"

    def _save(self, epochs: list[Epoch]) -> None:
        router = self._keeper.current.router
        self._log.epochs(self._epochs_topic, router, epochs, self._keeper.to_json())
        for partition in range(self._partitions):
            self._log.reach((self.topic, partition), self._keeper.offset(partition))
        self._log.commit()
