"""`headrace audit`, `dataset` and `backfill`, as they are typed.

The stream view of the project has a udf, and its learner reads lists, of events and of a table.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from headrace import FeatureClient
from headrace.deploy.commands.dataset import read_predictions
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
LISTS = {
    "import Int64, String\n": "import Array, Int64, String\n",
    '        Field(name="clicks_1h", dtype=Int64),\n': """\
        Field(name="clicks_1h", dtype=Int64),
        Field(name="paid", dtype=Array(Int64)),
""",
    "    aggregations=[\n": """\
    aggregations=[
        Aggregation(
            column="price", function="last_3", time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5), name="paid",
        ),
""",
    'Field(name="age", dtype=Int64)]': """\
Field(name="age", dtype=Int64),
            Field(name="names", dtype=Array(String), vector_length=2)]""",
}
MODEL = """(
        (compose.SelectType(int) | preprocessing.StandardScaler())
        + (compose.SelectType(str) | preprocessing.OneHotEncoder())
    )"""
ELEMENTS = {
    "user_clicks__paid__0": 14,  # the newest first
    "user_clicks__paid__1": 10,
    "user_clicks__paid__2": None,
    "user_profile__names__0": "Ada",
    "user_profile__names__1": "King",  # and no more: so many its field declares
}


@pytest.fixture(scope="module")
def project_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clicks of no price are left out, the others count twice."""
    folder = make_clicks_project(tmp_path_factory.mktemp("project"))
    file = folder / "features.py"
    text = file.read_text()
    for old, new in LISTS.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    head, view = text.split('user_clicks = StreamFeatureView(\n    name="user_clicks",\n')
    view = view.replace(")  # fmt: skip\n", UDF, 1)
    file.write_text(
        head
        + "from feast.stream_feature_view import stream_feature_view\n\n\n"
        + '@stream_feature_view(\n    mode="pandas",\n    ttl=timedelta(0),\n'
        + '    tags={"headrace.columns": "price"},\n'
        + view
    )
    learners = (folder / "learners.py").read_text().replace("import dummy", "import compose, dummy")
    (folder / "learners.py").write_text(learners.replace("preprocessing.StandardScaler()", MODEL))
    profiles = pd.read_parquet(folder / "data" / "profiles.parquet")
    profiles.assign(names=[["Ada", "King", "Byron"], ["Bob"]]).to_parquet(
        folder / "data" / "profiles.parquet"
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
    """A stack that has served predictions of what the udf makes of some clicks, and of a table."""
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
        (logged,) = read_predictions(stack.kafka, stack.plan, stack.plan.routers[0])
        assert {name: logged.features.get(name) for name in ELEMENTS} == ELEMENTS
        assert logged.scores["live"] == 0.5  # its model takes numbers and texts
    return stack


def test_the_audit_finds_what_was_served_equal_to_what_the_udf_gives(served: LocalStack) -> None:
    done = headrace(served, "audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 different" in done.stdout
    assert "user_clicks__spent_1h" in done.stdout
    assert "user_clicks__paid" in done.stdout


def test_the_dataset_as_served_has_the_elements_that_were_logged(served: LocalStack, tmp_path: Path) -> None:
    asked, output = tmp_path / "asked.csv", tmp_path / "set.parquet"
    asked.write_text("user,event_timestamp\nada,2099-01-01T00:00:00Z\n")
    words = ("--as", "served", "--predictions", "topic")
    done = headrace(served, "dataset", "everything", str(asked), str(output), *words)
    assert done.returncode == 0, done.stderr
    (row,) = pq.read_table(output).to_pylist()
    assert {name: row[name] for name in ELEMENTS} == ELEMENTS


def test_a_backfill_runs_the_udf_over_the_past(served: LocalStack) -> None:
    log = served.settings.feature_log_dir
    before = {*ViewLog(log, served.plan, "user_clicks").files()}
    done = headrace(served, "backfill", "user_clicks", "--no-hand-over")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done at" in done.stdout
    written = {*ViewLog(log, served.plan, "user_clicks").files()} - before
    rows = [row for file in written for row in pq.ParquetFile(file).read().to_pylist()]
    assert {(row["user"], row["clicks_1h"], row["spent_1h"]) for row in rows} >= {("ada", 2, 24)}
