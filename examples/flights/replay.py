"""Replays the flights against a running Headrace; at any speed nothing knows the future of event time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from examples.flights.events import EventTable, Rows
from examples.flights.service import PredictionService
from examples.flights.steps import STEP_MS, Period, Step, steps
from examples.flights.times import HOUR_MS
from headrace import EventProducer
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.producers.outbox import Outbox
from headrace.streams.producers.topic_producer import TopicProducer
from headrace.streams.progress import ProgressStore

WAIT_S = 120.0


@dataclass
class Tally:
    """Counts of a replay.

    Attributes
    ----------
    now_ms
        Event time that was reached.
    produced, marks
        Events and time marks sent, by topic.
    predictions
        Predictions requested.
    traffic
        Answers of each arm since the counter was last emptied.
    """

    now_ms: int = 0
    produced: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    predictions: int = 0
    traffic: Counter[str] = field(default_factory=Counter)

    @property
    def events(self) -> int:
        """Events sent, all topics together."""
        return self.produced.total()


class Replay:
    """Steps through a period.

    Parameters
    ----------
    plan
        The plan of the running project; predictions are requested of its first router.
    kafka
        How to reach Kafka.
    progress
        The progress of the stages.
    service
        The prediction service.
    period
        The flights.
    on_hour
        Called after every hour of event time in which something happened.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        progress: ProgressStore,
        service: PredictionService,
        period: Period,
        on_hour: Callable[[Tally], None],
    ) -> None:
        self._progress, self._service, self._on_hour = progress, service, on_hour
        self._router: RouterSpec = plan.routers[0]
        outbox = Outbox(kafka)  # one for all topics: what is waited for is sent at once
        self._predictions = TopicProducer(outbox, plan.topics.router(self._router.name).predictions)
        names = ("departures", "arrivals", "weather")
        self._events = {name: EventProducer.from_plan(outbox, plan, name) for name in names}
        self._tables = {
            name: EventTable(getattr(period, name), plan.source(name).timestamp_field) for name in names
        }
        self._requests = Rows(period.requests)
        self._requested_ms = period.requests["ts_ms"].to_numpy(np.int64)
        self.tally = Tally()

    def run(self) -> Tally:
        """Replay the whole period, then let event time pass until every prediction is closed."""
        for step in steps([table.times_ms for table in self._tables.values()], self._requested_ms):
            self._produce(step)
            if step.has_requests or (step.ends_hour and step.hour_has_requests):
                self._settle(step.now_ms, learned=step.ends_hour)
            elif step.ends_hour:
                self._pass_hour(step.now_ms)
            if step.has_requests:
                self._request(step.now_ms)
            if step.ends_hour:
                self._on_hour(self.tally)
        self._close()
        return self.tally

    def _produce(self, step: Step) -> None:
        for name, producer in self._events.items():
            events = self._tables[name].between(step.start_ms, step.now_ms)
            self.tally.produced[producer.topic] += producer.send_batch(events)
        self.tally.now_ms = step.now_ms

    def _settle(self, now_ms: int, learned: bool) -> None:
        """Wait until everything before `now_ms` is readable, and with `learned` also learned and served."""
        self._mark(now_ms, learned)
        for producer in self._events.values():
            self._wait(producer, "features")
        if learned:
            # Both inputs of the join: only then has the mark passed it and made the trainer publish.
            self._wait(self._predictions, "serve")
            self._wait(self._events["arrivals"], "serve")

    def _pass_hour(self, now_ms: int) -> None:
        """End an hour without a request.

        Waiting for the join suffices. Without waiting the marks of two hours would be one to it, and one
        version would be published in place of two.
        """
        self._mark(now_ms, learned=True)
        for producer in (self._predictions, self._events["arrivals"]):
            self._wait(producer, "examples")

    def _mark(self, now_ms: int, learned: bool) -> None:
        for producer in self._events.values():
            self.tally.marks[producer.topic] += producer.mark(now_ms)
        if learned:
            self._predictions.mark(now_ms)

    def _wait(self, producer: TopicProducer, until: Literal["features", "examples", "serve"]) -> None:
        self._progress.wait(producer.topic, producer.flush(), until, timeout_s=WAIT_S)

    def _request(self, now_ms: int) -> None:
        first, last = np.searchsorted(self._requested_ms, (now_ms, now_ms + STEP_MS))
        answers = self._service.predict(list(self._requests.between(int(first), int(last))))
        self.tally.predictions += len(answers)
        self.tally.traffic.update(answer["arm"] for answer in answers)

    def _close(self) -> None:
        """Send marks until past twice the last wait, so that the join drops outcomes as well."""
        last_ms = int(max(self._requested_ms[-1], *(table.times_ms[-1] for table in self._tables.values())))
        end_ms = last_ms + 2 * self._router.wait_ms + HOUR_MS
        for now_ms in range(last_ms // HOUR_MS * HOUR_MS + HOUR_MS, end_ms + HOUR_MS, 6 * HOUR_MS):
            self._settle(now_ms, learned=True)
        self.tally.now_ms = end_ms
        self._on_hour(self.tally)
