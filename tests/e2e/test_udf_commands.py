"""`headrace audit` and `headrace backfill`, as they are typed, in a project whose stream view has a udf."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from headrace import FeatureClient
from headrace.deploy.stack import LocalStack
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.streams.event_producer import EventProducer
from tests.support.clicks_project import NOON_MS, make_clicks_project, post
from tests.support.headrace_command import run_headrace
from tests.support.waiting import PATIENCE_S

UDF = """)
def user_clicks(df):
    return df[df["price"] > 0].assign(price=lambda paid: paid["price"] * 2)
"""


@pytest.fixture(scope="module")
def project_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clicks of no price are left out, the others count twice."""
    folder = make_clicks_project(tmp_path_factory.mktemp("project"))
    file = folder / "features.py"
    head, view = file.read_text().split('user_clicks = StreamFeatureView(\n    name="user_clicks",\n')
    view = view.replace(")  # fmt: skip\n", UDF, 1)
    file.write_text(
        head
        + "from feast.stream_feature_view import stream_feature_view\n\n\n"
        + '@stream_feature_view(\n    mode="pandas",\n    ttl=timedelta(0),\n'
        + '    tags={"headrace.columns": "price"},\n'
        + view
    )
    return folder


@pytest.fixture(scope="module")
def stack(servers: None, project_dir: Path) -> Iterator[LocalStack]:
    with LocalStack(project_dir, publish_every_s=0.1) as running:
        yield running


def headrace(stack: LocalStack, *words: str) -> subprocess.CompletedProcess[str]:
    return run_headrace(words, stack.settings.project_dir, stack.settings.environment())


@pytest.fixture(scope="module")
def served(stack: LocalStack) -> LocalStack:
    """A stack that has served predictions of what the udf makes of some clicks."""
    assert stack.plan.stream_view("user_clicks").udf is not None
    with FeatureClient(stack.plan, stack.redis_url) as client:
        with EventProducer.from_plan(stack.kafka, stack.plan, "clicks") as producer:
            for place, price in enumerate((5, 0, 7, -3)):
                producer.send({"user": "ada", "event_ms": NOON_MS + place * 60_000, "price": price})
            client.wait("clicks", producer.flush(), timeout_s=PATIENCE_S)
        found = client.get_online_features("everything", [{"user": "ada"}]).to_dict()
        assert (found["user_clicks__clicks_1h"], found["user_clicks__spent_1h"]) == ([2], [24])
        answer = post(stack, "/v1/predict", {"entities": {"user": "ada"}, "ts_ms": NOON_MS + 240_000})
        log = answer["log"]
        client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", PATIENCE_S)
    return stack


def test_the_audit_finds_what_was_served_equal_to_what_the_udf_gives(served: LocalStack) -> None:
    done = headrace(served, "audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 different" in done.stdout
    assert "user_clicks__spent_1h" in done.stdout


def test_a_backfill_runs_the_udf_over_the_past(served: LocalStack) -> None:
    log = served.settings.feature_log_dir
    before = {*ViewLog(log, served.plan, "user_clicks").files()}
    done = headrace(served, "backfill", "user_clicks", "--no-hand-over")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done at" in done.stdout
    written = {*ViewLog(log, served.plan, "user_clicks").files()} - before
    rows = [row for file in written for row in pq.ParquetFile(file).read().to_pylist()]
    assert {(row["user"], row["clicks_1h"], row["spent_1h"]) for row in rows} >= {("ada", 2, 24)}
