"""A router service with rows, models and epochs to serve from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import redis
from confluent_kafka import Consumer, TopicPartition
from starlette.testclient import TestClient

from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.serving.config import ServeConfig
from headrace.learners.serving.process import ServeProcess
from headrace.learners.training.trainer import Trainer
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch
from headrace.schemas.topics import RouterTopics
from headrace.streams.sinks import OnlineRows
from tests.support.flight_learners import LEARNERS, examples, flights
from tests.support.train_process import KEY
from tests.support.waiting import PATIENCE_S, eventually

AS_OF_MS = 1_000_000


class Scene:
    """A project with online rows of two origins, and its service."""

    def __init__(
        self, bootstrap: str, redis_url: str, project: str, folder: Path, text: str = LEARNERS
    ) -> None:
        self.bootstrap, self.redis_url = bootstrap, redis_url
        self.plan, self.project = flights(folder, project, text)
        self.redis = redis.Redis.from_url(redis_url)
        self.pointers = ModelPointers(self.redis, project, key=KEY)
        self.store = ModelStore(folder / "models", KEY)
        self.predictions = RouterTopics(project, "delays").predictions
        self.outcomes = RouterTopics(project, "delays").outcomes
        self.examples = RouterTopics(project, "delays").examples
        asyncio.run(self._write_rows())

    async def _write_rows(self) -> None:
        rows = OnlineRows(
            view="delays",
            keys=(np.array([b"EWR", b"JFK"]),),
            features=(
                (np.array([12.5, 3.0]), np.array([True, False])),
                (np.array([7, 9]), np.array([True, True])),
            ),
            partition=3,
            offset=42,
            as_of_ms=AS_OF_MS,
        )
        sink = RedisOnlineSink(self.redis_url, self.plan)
        await sink.write([rows], [])
        await sink.close()

    @contextlib.contextmanager
    def serving(self, plan: Plan | None = None, log_timeout_s: float = 60.0) -> Iterator[TestClient]:
        config = ServeConfig(log_timeout_s=log_timeout_s, replica="r1")
        with TestClient(self.process(config, plan).app) as client:
            yield client

    def process(self, config: ServeConfig, plan: Plan | None = None) -> ServeProcess:
        """The process that serves a plan; the project's own when None."""
        kafka = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        return ServeProcess(plan or self.plan, kafka, self.redis_url, self.store, self.project, config)

    def set_epoch(self, number: int, **propensities: float) -> Epoch:
        vector = dict.fromkeys(self.plan.routers[0].arms, 0.0) | propensities
        epoch = Epoch(
            router="delays", epoch=number, ts_ms=0, offset=0, propensities=vector, posteriors={},
            plan_hash=self.plan.hash,
        )  # fmt: skip
        self.pointers.put_in_force(epoch, self.plan.topics.router("delays").closings, {0: 0})
        return epoch

    def train(self, count: int) -> dict[str, Trainer]:
        """Publish a version of every learner that has learned `count` examples."""
        trainers = {}
        for arm in self.plan.routers[0].arms:
            trainer = trainers[arm] = Trainer(self.plan, self.project.learner(arm))
            for offset, example in enumerate(examples(self.plan, count)):
                trainer.take(offset, example)
            artifact = trainer.checkpoint()
            content = self.store.write(artifact)
            pointer = ModelPointer(artifact.header.version, artifact.header.offset, content)
            self.pointers.point(self.examples, {arm: pointer})
        return trainers

    def moved(self, arm: str, offset: int) -> ModelPointer:
        """The pointer of an arm, to a later prefix."""
        return replace(self.pointers.serving()[arm], offset=offset)

    def logged(self, log: dict[str, Any]) -> tuple[bytes, bytes]:
        """Key and value of a record the service has answered for."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "none"})
        consumer.assign([TopicPartition(log["topic"], log["partition"], log["offset"])])
        message = consumer.consume(1, PATIENCE_S)[0]
        consumer.close()
        return message.key() or b"", message.value() or b""


def question(flight: str = "UA1", origin: str = "EWR", **more: Any) -> dict[str, Any]:
    return {"entities": {"origin": origin}, "request": {"distance": 700, "flight": flight}, **more}


def wait_until_ready(client: TestClient) -> None:
    eventually(
        lambda: client.get("/readyz"), "a service that is ready", lambda answer: answer.status_code == 200
    )
