"""Replays the flights against a running Headrace, keeping event time honest at any speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from examples.flights.events import EventTopic, Rows
from examples.flights.log import EventLog
from examples.flights.service import PredictionService
from examples.flights.steps import STEP_MS, Period, Step, steps
from examples.flights.times import HOUR_MS
from schemas import topics
from schemas.plan import Plan, RouterSpec
from streams.progress import ProgressStore

WAIT_S = 120.0


@dataclass
class Tally:
    """What the replay itself has done; `traffic` counts the answers of each arm since it was last emptied."""

    now_ms: int = 0
    events: int = 0
    predictions: int = 0
    traffic: Counter[str] = field(default_factory=Counter)


class Replay:
    """Steps through a period.

    Parameters
    ----------
    plan
        The plan of the running project; its first router is asked.
    log
        Where events go.
    progress
        Where the stages say how far they are.
    service
        Who is asked.
    period
        The flights.
    on_hour
        Called after every hour of event time in which something happened.
    """

    def __init__(
        self,
        plan: Plan,
        log: EventLog,
        progress: ProgressStore,
        service: PredictionService,
        period: Period,
        on_hour: Callable[[Tally], None],
    ) -> None:
        self._log, self._progress, self._service, self._on_hour = log, progress, service, on_hour
        self._router: RouterSpec = plan.routers[0]
        self._predictions = topics.predictions(plan.project, self._router.name)
        self._topics = {
            name: EventTopic(
                plan.source(name), getattr(period, name), log.partitions(plan.source(name).topic)
            )
            for name in ("departures", "arrivals", "weather")
        }
        self._requests = Rows(period.requests)
        self._asked_ms = period.requests["ts_ms"].to_numpy(np.int64)
        self.tally = Tally()

    def run(self) -> Tally:
        """Replay the whole period, then let event time pass until every prediction is closed."""
        for step in steps([topic.times_ms for topic in self._topics.values()], self._asked_ms):
            self._produce(step)
            if step.has_requests or step.ends_hour:
                self._settle(step.now_ms, learned=step.ends_hour)
            if step.has_requests:
                self._ask(step.now_ms)
            if step.ends_hour:
                self._on_hour(self.tally)
        self._close()
        return self.tally

    def _produce(self, step: Step) -> None:
        before = sum(self._log.produced.values())
        for topic in self._topics.values():
            self._log.produce(topic, topic.between(step.start_ms, step.now_ms))
        self.tally.now_ms = step.now_ms
        self.tally.events += sum(self._log.produced.values()) - before

    def _settle(self, now_ms: int, learned: bool) -> None:
        """Wait until everything before `now_ms` can be read, and is learned and served if so wanted."""
        for topic in self._topics.values():
            self._log.mark(topic.topic, topic.partitions, now_ms)
        if learned:
            self._log.mark(self._predictions, self._router.partitions, now_ms)
        for topic in self._topics.values():
            self._wait(topic.topic, "features")
        if learned:
            # Both inputs of the join: only then has the mark passed it and made the trainer publish.
            self._wait(self._predictions, "serve")
            self._wait(self._topics["arrivals"].topic, "serve")

    def _wait(self, topic: str, until: Literal["features", "serve"]) -> None:
        self._progress.wait(topic, self._log.prefix(topic), until, timeout_s=WAIT_S)

    def _ask(self, now_ms: int) -> None:
        first, last = np.searchsorted(self._asked_ms, (now_ms, now_ms + STEP_MS))
        answers = self._service.predict(list(self._requests.between(int(first), int(last))))
        self.tally.predictions += len(answers)
        self.tally.traffic.update(answer["arm"] for answer in answers)

    def _close(self) -> None:
        """Marks hour by hour past the last wait. Twice the wait, so that outcomes are let go of as well."""
        last_ms = int(max(self._asked_ms[-1], *(topic.times_ms[-1] for topic in self._topics.values())))
        end_ms = last_ms + 2 * self._router.wait_ms + HOUR_MS
        for now_ms in range(last_ms // HOUR_MS * HOUR_MS + HOUR_MS, end_ms + HOUR_MS, 6 * HOUR_MS):
            self._settle(now_ms, learned=True)
        self.tally.now_ms = end_ms
        self._on_hour(self.tally)
