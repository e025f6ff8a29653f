"""The whole loop for a number and a category, on real Kafka and Redis.

Predictions over HTTP, labels through the event topic and over HTTP, examples, versions with the metrics of
the kind, rewards and epochs; what is no label is refused at each door.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from starlette.testclient import TestClient

from headrace.deploy.commands.topics import ensure_topics
from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.models.versions import read_versions
from headrace.learners.serving.config import ServeConfig
from headrace.learners.serving.process import ServeProcess
from headrace.learners.training.config import TrainConfig
from headrace.learners.training.process import TrainProcess
from headrace.schemas.avro import encode_confluent
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.records import Closing, Example
from headrace.streams.log.reader import read_log
from tests.support.forked_child import ForkedChild
from tests.support.ordered_producer import ordered_producer
from tests.support.train_process import KEY
from tests.support.train_scene import running
from tests.support.typed_flights import CLASSES, FIELDS, SCHEMA, text_of, typed_flights
from tests.support.waiting import PATIENCE_S, eventually

COUNT = 40
STEP_MS = 100  # all are asked within the wait


class Kind:
    """A project of one kind of target: its processes, its topics, its labels."""

    def __init__(self, kind: str, bootstrap: str, redis_url: str, project: str, folder: Path) -> None:
        self.kind, self.bootstrap = kind, bootstrap
        self.plan, self.project = typed_flights(folder, text_of(kind), project)
        self.topics = self.plan.topics.router("delays")
        self.begin_ms = time.time_ns() // 1_000_000 - 600_000
        ensure_topics(bootstrap, self.plan, event_partitions=1)
        store = ModelStore(folder / "models", KEY)
        self.serve = ServeProcess(
            self.plan, {"bootstrap.servers": bootstrap, "log_level": 0}, redis_url, store, self.project,
            ServeConfig(log_timeout_s=60.0, replica="r1"),
        )  # fmt: skip
        self.train = TrainProcess(
            self.plan, bootstrap, redis_url, store, self.project, TrainConfig(publish_every_s=0.1)
        )
        (folder / "plan.json").write_text(self.plan.to_json())
        arguments = [str(folder / "plan.json"), bootstrap, redis_url, str(folder / "archive")]
        self.join = ForkedChild("join", ["tests.support.join_process", *arguments], folder / "join.log")
        self.pointers = ModelPointers(redis.Redis.from_url(redis_url), project, key=KEY)
        self._producer = ordered_producer(bootstrap, {"linger.ms": 1})

    def label(self, number: int) -> float | str:
        return CLASSES[number % 3] if self.kind == "category" else 10.0 * (number % 7)

    def event(self, number: int, label: float | str) -> None:
        """An arrival of a flight, with its label."""
        fields = {"flight": f"F{number}", "late": None, "minutes": None, "reason": None, "code": None}
        fields |= {FIELDS[self.kind]: label, "at": self.begin_ms + number * STEP_MS + 500}
        topic = self.plan.source("arrivals").topic
        self._producer.produce(topic, encode_confluent(SCHEMA, 1, fields), partition=0)
        assert self._producer.flush(PATIENCE_S) == 0

    def predict(self, client: TestClient, number: int) -> Any:
        request = {"distance": 100 * (number % 7), "flight": f"F{number}"}
        asked = {"entities": {}, "request": request, "ts_ms": self.begin_ms + number * STEP_MS}
        answer = client.post("/v1/predict", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read(self, topic: str) -> list[bytes]:
        return [value for message in read_log(self.bootstrap, topic, 0) if (value := message.value())]

    def examples(self) -> list[Example]:
        return [Example.model_validate_json(value) for value in self.read(self.topics.examples)]

    def closings(self) -> list[Closing]:
        return [Closing.model_validate_json(value) for value in self.read(self.topics.closings)]

    def letters(self) -> list[str]:
        found = self.read(self.plan.topics.dead_letters)
        return [DeadLetter.model_validate_json(value).reason for value in found]


@pytest.mark.parametrize(
    ("kind", "wrong", "told", "metrics"),
    [
        ("number", 2001.0, "2001 is outside -120 to 2000 of 'minutes'", {"mae", "rmse", "r2", "bias"}),
        ("category", "wether", "did you mean 'weather'?", {"log_loss", "accuracy", "macro_f1"}),
    ],
)
def test_a_kind_of_target_goes_round_the_loop(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path, kind: str, wrong: Any, told: str,
    metrics: set[str],
) -> None:  # fmt: skip
    it = Kind(kind, kafka_bootstrap, redis_url, project, tmp_path)
    it.join.start()
    try:
        with running(it.train), TestClient(it.serve.app) as client:
            for number in range(COUNT):
                answer = it.predict(client, number)
                if number % 2:
                    it.event(number, it.label(number))
                else:
                    ts_ms = it.begin_ms + number * STEP_MS + 500
                    body = {"key": answer["key"], "label": it.label(number), "ts_ms": ts_ms}
                    assert client.post("/v1/outcomes", json=body).status_code == 200
            refused = client.post("/v1/outcomes", json={"key": "F1", "label": wrong})
            assert refused.status_code == 422
            assert refused.json()["field"] == "outcomes[0].label"
            assert told in refused.json()["message"]
            it.event(COUNT, wrong)
            it.predict(client, COUNT + 600)  # so that time passes, and all that was asked before closes
            it.event(COUNT + 600, it.label(0))

            labels = {f"F{number}": it.label(number) for number in range(COUNT)}
            closed = eventually(it.closings, "all closings", lambda found: len(found) >= COUNT)
            assert {one.prediction.key: one.label for one in closed} == labels
            assert {one.prediction.key: one.label for one in it.examples()[:COUNT]} == labels
            (letter,) = eventually(it.letters, "a dead letter", bool)
            assert told in letter

            epoch = eventually(
                lambda: it.pointers.read(it.plan.routers[0]).epoch,
                "an epoch of rewards",
                lambda found: found is not None and found.epoch >= 1,
            )
            assert epoch is not None
            for one in epoch.posteriors.values():
                assert one["alpha"] >= 1.0 <= one["beta"]
                assert one["alpha"] + one["beta"] > 2.0

            def learned() -> list[Any]:
                versions = read_versions(kafka_bootstrap, project)
                return [one for one in versions if one.name == "live" and one.metrics["count"] >= COUNT]

            newest = eventually(learned, "a version that has learned all", bool)[-1]
            assert set(newest.metrics) == {"count", *metrics}
            assert all(value is not None and math.isfinite(value) for value in newest.metrics.values())
            trained = eventually(
                lambda: it.predict(client, COUNT + 601), "an answer of a trained model",
                lambda found: not found["untrained"],
            )  # fmt: skip
    finally:
        it.join.stop()
    domain = it.plan.routers[0].domain
    assert domain.has(trained["score"])
    if kind == "category":
        assert [*trained["score"]] == [*CLASSES]
    logged = [json.loads(value) for value in it.read(it.topics.predictions)]
    assert all(domain.has(score) for one in logged for score in one["scores"].values())
