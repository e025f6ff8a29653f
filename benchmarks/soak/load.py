"""The load of a soak: orders, and questions with their labels. Both remember what they have sent."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass
from typing import Any

from benchmarks.soak.project import SoakProject
from headrace import EventProducer, FeatureClient

_LABEL_AFTER_S = 20.0  # at most, and always within the router's wait
_UNLABELLED = 0.1  # of all
_PATIENCE_S = 600.0
_AGAIN_S = 0.5


class Sender:
    """Sends in a thread of its own, within its block. What it raises there, the block raises at its end."""

    def __init__(self, project: SoakProject) -> None:
        self.project = project
        self.failure: Exception | None = None
        self.client = FeatureClient.connect(project.settings.redis, project.settings.project_name)
        self._stopping, self._thread = threading.Event(), threading.Thread(target=self._guarded, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _guarded(self) -> None:
        try:
            self.send(self._stopping)
        except Exception as error:
            self.failure = error

    def send(self, stopping: threading.Event) -> None:
        raise NotImplementedError


class Orders(Sender):
    """So many orders a second, of so many customers, each at the time it is sent.

    Attributes
    ----------
    sent
        Customer, event time, and amount in cents.
    """

    def __init__(self, project: SoakProject, customers: int, a_second: int) -> None:
        super().__init__(project)
        self._customers, self._a_second = customers, a_second
        self._prefix: dict[int, int] = {}
        self.topic = ""
        self.sent: list[tuple[str, int, int]] = []

    def send(self, stopping: threading.Event) -> None:
        rng, plan = random.Random(41), self.project.plan
        with EventProducer.from_plan(self.project.settings.kafka_access, plan, "orders") as producer:
            self.topic, due = producer.topic, time.time()
            while not stopping.is_set():
                for number in range(self._a_second):
                    event_ms = int(due * 1000) + number * 1000 // self._a_second
                    order = f"c{rng.randrange(self._customers)}", event_ms, rng.randrange(1, 20_000)
                    self.sent.append(order)
                    customer, _, cents = order
                    producer.send({"customer": customer, "amount": cents / 100, "event_ms": event_ms})
                self._prefix |= producer.flush()
                due += 1
                stopping.wait(max(due - time.time(), 0))

    def wait_visible(self) -> None:
        self.client.wait(self.topic, self._prefix, timeout_s=_PATIENCE_S)


@dataclass(frozen=True)
class _Label:
    due_s: float
    prediction_id: str
    label: int


class Questions(Sender):
    """Predictions over HTTP, and for most of them a label some seconds later.

    Attributes
    ----------
    labels
        Those that the service has taken, by the prediction.
    asked
        How many predictions were answered.
    """

    def __init__(self, project: SoakProject, customers: int, a_second: float) -> None:
        super().__init__(project)
        self._customers, self._pause_s = customers, 1 / a_second
        self._waiting: deque[_Label] = deque()
        self._logs: list[dict[str, Any]] = []
        self.labels: dict[str, int] = {}
        self.asked = 0

    def send(self, stopping: threading.Event) -> None:
        rng, order = random.Random(42), 0
        while not stopping.wait(self._pause_s):
            order += 1
            self._ask(rng, order)
            self._send_labels(time.monotonic())
        self._send_labels(float("inf"))

    def _ask(self, rng: random.Random, order: int) -> None:
        amount = rng.randrange(1, 20_000) / 100
        entities = {"customer": f"c{rng.randrange(self._customers)}"}
        try:
            answer = self._post(
                "/v1/predict", {"entities": entities, "request": {"order": order, "amount": amount}}
            )
        except OSError:  # it is being started anew
            return
        self.asked += 1
        self._logs = [*self._logs[-20:], answer["log"]]
        if rng.random() >= _UNLABELLED:
            due_s = time.monotonic() + rng.random() * _LABEL_AFTER_S
            self._waiting.append(_Label(due_s, answer["prediction_id"], int(amount > 40)))

    def _send_labels(self, now_s: float) -> None:
        """Send those that are due, each until it is taken: the same id twice is one outcome."""
        for _ in range(len(self._waiting)):
            label = self._waiting.popleft()
            if label.due_s > now_s:
                self._waiting.append(label)
                continue
            body = {
                "prediction_id": label.prediction_id,
                "label": label.label,
                "outcome_id": f"of-{label.prediction_id}",
            }
            answer = self._post_until_taken("/v1/outcomes", body)
            self._logs = [*self._logs[-20:], answer["log"]]
            self.labels[label.prediction_id] = label.label

    def wait_learned(self) -> None:
        """Wait until the last labels are in the models that answer."""
        for log in filter(None, self._logs):
            prefix = {log["partition"]: log["offset"] + 1}
            self.client.wait(log["topic"], prefix, "serve", timeout_s=_PATIENCE_S)

    def _post_until_taken(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._post(path, body)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_S)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.project.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))
