"""A repository that Headrace runs, read with both clients: ours, and Feast's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import redis
from feast import FeatureStore
from starlette.testclient import TestClient
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.featurestore.online.client import FeatureClient
from headrace.learners.feature_server.process import FeatureServer
from headrace.schemas.plan import Plan
from headrace.streams.progress import ProgressStore
from headrace.streams.worker.consumer_group import worker_group
from tests.support import nursery
from tests.support.consumer_groups import wait_until_acknowledged
from tests.support.ordered_producer import ordered_producer
from tests.support.shapes import Shape
from tests.support.waiting import PATIENCE_S

Answers = dict[str, list[Any]]


class ShapeRun:
    """A shape whose plan is in force, and the two clients of it."""

    def __init__(self, shape: Shape, redis_url: str, project: str) -> None:
        self.shape, self.redis_url, self.project = shape, redis_url, project
        self.folder = shape.repository
        self.client = FeatureClient.connect(redis_url, project, repo_dir=self.folder)
        self.plan: Plan = self.client.plan
        self.store = FeatureStore(repo_path=str(self.folder))

    def asked(self, service: str) -> pd.DataFrame:
        """The rows of the shape, with the columns that a service reads."""
        refs = self.plan.service(service).features
        fields = [field.name for view in self.plan.on_demand_of(refs) for field in view.request]
        names = [*(key.name for key in self.plan.request_keys(refs)), *fields]
        asked = self.shape.asked.select(list(dict.fromkeys(names))).to_pandas()
        return asked if len(asked) else pd.DataFrame(index=range(len(self.shape.asked)))

    def online(self, service: str) -> tuple[Answers, Answers]:
        """Features that our client answers, and Feast's."""
        rows = self.asked(service).to_dict("records")
        ours = self.client.get_online_features(service, rows).columns
        views = self.plan.on_demand_of(self.plan.service(service).features)
        # Feast calls a function of single rows for the first row alone.
        requests = [[row] for row in rows] if any(view.singleton for view in views) else [rows]
        feasts: Answers = {name: [] for name in ours}
        for request in requests:
            for name, values in self._feast_online(service, request, ours).items():
                feasts[name] += values
        return plain(ours), plain(feasts)

    def _feast_online(self, service: str, rows: list[Any], names: Iterable[str]) -> Answers:
        """What Feast's client answers. Features of functions in python have short names alone."""
        asked = self.store.get_feature_service(service)
        found = self.store.get_online_features(asked, rows, full_feature_names=True).to_dict()
        if missing := names - found.keys():
            short = self.store.get_online_features(asked, rows).to_dict()
            found |= {name: short[name.partition("__")[2]] for name in missing}
        return {name: found[name] for name in names}

    def push_over_http(self, source: str, rows: pa.Table) -> dict[str, int]:
        """Push rows to the feature server as Feast's is pushed to: rows written by view."""
        columns: dict[str, list[Any]] = {name: [] for name in rows.column_names}
        for row in rows.to_pylist(maps_as_pydicts="strict"):
            for name, value in row.items():
                columns[name].append(value)
        body = json.dumps({"push_source_name": source, "df": columns, "to": "online"}, default=_text)
        written: dict[str, int] = self._over_http("/push", body)["written"]
        return written

    def online_over_http(self, service: str) -> Answers:
        """Features that the feature server answers; they have short names where Feast's have."""
        columns = self.asked(service).to_dict("list")
        body = {"feature_service": service, "entities": columns, "full_feature_names": True}
        answer = self._over_http("/get-online-features", json.dumps(body, default=_text))
        names = answer["metadata"]["feature_names"]
        found = dict(zip(names, (result["values"] for result in answer["results"]), strict=True))
        return {name: found[name] for name in names if name not in columns}

    def _over_http(self, path: str, body: str) -> Any:
        server = FeatureServer(self.plan, self.redis_url, self.folder)
        with TestClient(server.app, base_url="http://localhost") as client:
            answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def trained(self, service: str) -> Answers:
        """Our training set of a service."""
        entities = pa.Table.from_pandas(self._entities(service), preserve_index=False)
        joined = as_of_event_time(self.plan, service, entities, self._feature_log, self.folder)
        found: Answers = plain(joined.sort_by("event_timestamp").to_pydict())
        return found

    def feast_trained(self, service: str) -> Answers:
        """Feast's training set of a service."""
        asked = self.store.get_feature_service(service)
        job = self.store.get_historical_features(self._entities(service), asked, full_feature_names=True)
        frame = job.to_df().sort_values("event_timestamp")
        found: Answers = plain({name: list(frame[name]) for name in frame})
        return found

    def _entities(self, service: str) -> pd.DataFrame:
        return self.asked(service).assign(event_timestamp=self.shape.asked["event_timestamp"].to_pandas())

    @property
    def _feature_log(self) -> Path:
        return self.folder / ".headrace" / "feature_log"

    def stream(self, kafka: str) -> None:
        """Send the events of the shape, and run a worker until their rows are stored and logged."""
        settings = {"HEADRACE_KAFKA": kafka, "HEADRACE_REDIS": self.redis_url}
        log = self.folder / "worker.log"
        worker = nursery.start(
            "tests.support.headrace_process", [json.dumps(settings), "worker", str(self.folder)], log
        )
        try:
            ends: dict[str, dict[int, int]] = {}
            producer = ordered_producer(kafka, {})
            for name, rows in self.shape.sent.items():
                topic = f"{self.project}.{name}"

                def delivered(error: Any, message: Any, topic: str = topic) -> None:
                    assert error is None
                    ends.setdefault(topic, {})[message.partition()] = message.offset() + 1

                for row in rows.to_pylist():
                    producer.produce(topic, json.dumps(row, default=_text).encode(), on_delivery=delivered)
            producer.flush()
            for topic, prefix in ends.items():
                ProgressStore(redis.Redis.from_url(self.redis_url), self.plan).wait(
                    topic, prefix, timeout_s=PATIENCE_S
                )
            wait_until_acknowledged(kafka, worker_group(self.plan), list(ends))
        finally:
            worker.terminate()
            worker.wait()


def run_command(folder: Path, *words: str) -> tuple[int, str]:
    """Run a command of `headrace` on a repository, in this process: exit code and output."""
    done = CliRunner().invoke(app, [words[0], str(folder), *words[1:]], catch_exceptions=False)
    return done.exit_code, done.output


def plain(value: Any) -> Any:
    """Values that compare: of frames NaN and None are one, times are texts, arrays are lists."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, datetime):
        return pd.Timestamp(value).tz_convert("UTC").isoformat()
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any) -> str:
    return str(value.isoformat())
