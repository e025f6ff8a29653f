"""The whole loop on a day of real flights, twice: results do not depend on how fast anything was.

One run is a demo whose processes are stopped at random. Beside the other, offline commands write what was
served, and find a skew. Two days of it: `make test-faults`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from examples.flights import data
from examples.flights.demo import REPOSITORY, replay
from examples.flights.steps import Period
from examples.flights.times import HOUR_MS, MINUTE_MS, ORIGIN_ZONE
from headrace.deploy.commands.dataset import read_predictions
from headrace.deploy.stack import LocalStack
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.records import Prediction
from headrace.streams.join.example_archive import read_examples
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.sinks import OnlineRows
from tests.support.headrace_command import run_headrace
from tests.support.paths import ROOT
from tests.support.torment import torment
from tests.support.waiting import PATIENCE_S, eventually

COUNTS = {
    1: "1,733 events, 842 predictions, 831 labels",
    2: "3,668 events, 1,785 predictions, 1,759 labels",
}  # by the number of days
STEP_MS = 15 * MINUTE_MS


@dataclass
class Runs:
    """A demo that runs in its data directory, and a stack over which the same days went."""

    days: int
    demo: subprocess.Popen[bytes]
    demo_dir: Path
    printed: Path
    tormentor: threading.Thread
    over: threading.Event
    stack: LocalStack
    period: Period
    closing: ExitStack

    def demo_examples(self) -> pd.DataFrame:
        """Wait for the demo to end; the examples it led to."""
        status = self.demo.wait()
        self.over.set()
        self.tormentor.join()
        output = self.printed.read_text()
        assert status == 0, output
        assert COUNTS[self.days] in output, output
        assert re.search(r"audit of 500 predictions: 14,500 equal, 0 different, 0 missing", output), output
        return examples_of(self.demo_dir)

    def stack_examples(self) -> pd.DataFrame:
        """End the stack; the examples that its days led to."""
        self.closing.close()
        return examples_of(self.stack.data_dir).drop("again", errors="ignore")


def examples_of(data_dir: Path) -> pd.DataFrame:
    return read_examples(data_dir / "examples" / "delays").to_pandas().set_index("example_id")


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.faults)])
def runs(
    servers: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    days: int = request.param
    folder, over = tmp_path_factory.mktemp("flights"), threading.Event()
    start = pd.Timestamp("2013-01-01", tz=ORIGIN_ZONE)
    until_ms = int((start + pd.DateOffset(days=days)).timestamp() * 1000) - HOUR_MS
    period = Period.of(data.load().tables, until_ms)  # before both, which read the tables
    environment = os.environ | {"HEADRACE_DATA_DIR": str(folder / "demo"), "PYTHONHASHSEED": "random"}
    command = [sys.executable, "-m", "examples.flights.demo", "--days", str(days)]
    printed = folder / "demo.log"
    with printed.open("wb") as log:
        demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    tormentor = threading.Thread(target=torment, args=(demo.pid, over))
    tormentor.start()
    options = {"publish_every_s": 0, "checkpoint_ms": 500, "fetch_wait_ms": 3, "data_dir": folder / "stack"}
    try:
        with ExitStack() as closing:
            stack = closing.enter_context(LocalStack(REPOSITORY, partitions=1, **options))
            _, _, problems = replay(stack, period)
            assert not problems
            yield Runs(days, demo, folder / "demo", printed, tormentor, over, stack, period, closing)
    finally:
        over.set()
        demo.terminate()
        demo.wait()
        tormentor.join()


def headrace(stack: LocalStack, *words: str) -> subprocess.CompletedProcess[str]:
    told = {"KAFKA": stack.bootstrap, "REDIS": stack.redis_url, "DATA_DIR": str(stack.data_dir)}
    environment = os.environ | {f"HEADRACE_{name}": value for name, value in told.items()}
    return run_headrace(words, ROOT, environment)


def dataset_of(stack: LocalStack, asked: pd.DataFrame, folder: Path, *words: str) -> pd.DataFrame:
    asked.to_csv(folder / "asked.csv", index=False)
    files = (str(folder / "asked.csv"), str(folder / "out.parquet"))
    done = headrace(stack, "dataset", "streaming", *files, str(REPOSITORY), *words)
    assert done.returncode == 0, done.stderr
    return pq.read_table(folder / "out.parquet").to_pandas()


def asked_for(predictions: list[Prediction], times_ms: list[int]) -> pd.DataFrame:
    rows = pd.DataFrame([one.entities for one in predictions])
    return rows.assign(event_timestamp=pd.to_datetime(times_ms, unit="ms", utc=True).strftime("%FT%TZ"))


def assert_served(found: pd.DataFrame, predictions: list[Prediction], names: list[str]) -> None:
    for name in names:
        got = found[name].astype(object).where(found[name].notna(), None).tolist()
        wrong = [pair for pair in zip(got, predictions, strict=True) if pair[0] != pair[1].features[name]]
        assert not wrong, f"{name} of {len(wrong)} predictions, such as {wrong[0]}"


def quarter_ms(prediction: Prediction) -> int:
    return prediction.ts_ms // STEP_MS * STEP_MS


def moments_of_events(period: Period) -> set[int]:
    """When something happened: that is known as of its moment, and may be told after a request of then."""
    return {*period.departures["event_ms"], *period.arrivals["event_ms"], *period.weather["event_ms"]}


def wait_for_feature_log(stack: LocalStack) -> None:
    """Wait until a checkpoint covers all events: the feature log is written before it.

    The built-in broker keeps no offsets that come with a transaction, so positions are read from changelogs.
    """
    plan = stack.plan
    sources = [source for source in plan.sources if plan.views_of(source.name)]
    assert not any(source.shards for source in sources)

    def behind() -> dict[str, int]:
        """Event topic to the number of its records that no checkpoint covers."""
        left = {}
        for source in sources:
            log = read_log(stack.bootstrap, plan.topics.source(source.name).changelog, 0)
            positions = [json.loads(message.value()) for message in log if message.key().startswith(b"p|")]
            covered = positions[-1]["next"] if positions else 0
            left[source.topic] = end_offset(stack.bootstrap, source.topic, 0) - covered
        return left

    eventually(behind, "a checkpoint behind the last event", lambda left: not any(left.values()))


def plant(stack: LocalStack, prediction: Prediction) -> None:
    """A row of another value, as of the same prefix."""
    view, at = stack.plan.stream_view("origin_departures"), prediction.provenance["origin_departures"]
    values = tuple(
        (np.array([a.dtype == "Float64"]) * 1.5 + 7, np.array([True]))
        if a.dtype == "Float64"
        else (np.array([999]), np.array([True]))
        for a in view.aggregations
    )
    keys = (np.array([str(prediction.entities["origin"]).encode()]),)
    rows = OnlineRows(view.name, keys, values, at.partition, at.offset, at.as_of_ms)

    async def write() -> None:
        sink = RedisOnlineSink(stack.redis_url, stack.plan)
        await sink.write([rows], [])
        await sink.close()

    asyncio.run(write())


def ask_again(stack: LocalStack, prediction: Prediction) -> None:
    body = prediction.model_copy(update={"prediction_id": "again"}).model_dump_json(
        include={"prediction_id", "entities", "request", "ts_ms"}
    )
    url = f"{stack.serve_url}/v1/predict"
    request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200


def test_datasets_compaction_and_audit_of_a_running_loop(runs: Runs, tmp_path: Path) -> None:
    stack = runs.stack
    router = stack.plan.routers[0]
    served = read_predictions(stack.bootstrap, stack.plan, router)
    predictions = [one for one in served if None not in one.entities.values()][:200]
    names = [ref.full_name for ref in stack.plan.service("streaming").features]
    stream = [n for n in names if n.split("__")[0] not in ("planes", "airports")]
    asked = asked_for(predictions, [one.ts_ms for one in predictions])
    found = dataset_of(stack, asked, tmp_path, "--as", "served", "--predictions", "topic")
    assert_served(found, predictions, names)
    wait_for_feature_log(stack)
    # An answer knows all that happened up to its quarter of an hour, and no more.
    busy = moments_of_events(runs.period)
    predictions = [one for one in predictions if quarter_ms(one) not in busy]
    assert len(predictions) > 50
    asked = asked_for(predictions, [quarter_ms(one) for one in predictions])
    before = dataset_of(stack, asked, tmp_path)
    assert_served(before, predictions, stream)
    assert headrace(stack, "compact", str(REPOSITORY)).returncode == 0
    for view in stack.plan.stream_views:
        log = ViewLog(stack.settings.feature_log_dir, stack.plan, view.name)
        assert all(len(files) == 1 for _, files in log.days())
    pd.testing.assert_frame_equal(dataset_of(stack, asked, tmp_path), before)
    audited = headrace(stack, "audit", str(REPOSITORY), "--sample", "300")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    plant(stack, predictions[-1])
    ask_again(stack, predictions[-1])
    audited = headrace(stack, "audit", str(REPOSITORY), "--sample", "100000")
    assert audited.returncode == 1, audited.stdout + audited.stderr
    assert (
        "different: origin_departures__dep_delay_count_1h of prediction again: served 999" in audited.stdout
    )
    assert "6 different, 0 missing" in audited.stdout


def test_a_backtest_gives_what_was_served(runs: Runs) -> None:
    stack = runs.stack
    told = headrace(stack, "backtest", str(REPOSITORY), "--json")
    assert told.returncode == 0, told.stderr
    (found,) = json.loads(told.stdout)
    assert found["closings"] > 500
    for arm in found["arms"]:
        assert (arm["same_scores"], arm["other_scores"]) == (found["closings"], 0)
        assert (len(arm["compared"]) > 10, arm["different"]) == (True, [])
    assert found["other_epochs"] == 0
    assert found["with_these"] == found["as_it_was"]


def test_both_runs_give_the_same_features_examples_scores_and_choices(runs: Runs) -> None:
    smooth, rough = runs.stack_examples(), runs.demo_examples()
    assert list(smooth.index) == list(rough.index)
    for column in smooth.columns.union(rough.columns):
        pd.testing.assert_series_equal(smooth[column], rough[column], check_exact=True)
    assert (smooth["epoch"].nunique() > 1) == (runs.days > 1)  # the first ends 36 hours after it began
    assert smooth["version.binned_regression"].nunique() > 10
