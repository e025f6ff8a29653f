"""A backtest gives what was served where nothing has changed, and what a change would have given."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from river import linear_model, optim, preprocessing

from headrace import FeatureClient
from headrace.deploy.stack import LocalStack
from headrace.learners.models.versions import read_versions
from headrace.schemas.records import Closing, Example
from headrace.streams.log.reader import read_log
from tests.support.clicks_project import NOON_MS, make_clicks_project, post
from tests.support.headrace_command import run_headrace
from tests.support.waiting import PATIENCE_S, eventually

PREDICTIONS, MINUTE_MS, HOUR_MS = 60, 60_000, 3_600_000


@pytest.fixture(scope="module")
def stack(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack that has answered, learned and closed predictions."""
    project = make_clicks_project(tmp_path_factory.mktemp("project"))
    with LocalStack(project, publish_every_s=0.05) as running:
        for number in range(PREDICTIONS):
            predict_and_tell(running, number)
        for number in range(8):  # the time of both partitions goes on
            ask(running, f"later-{number}", "ada", NOON_MS + 3 * HOUR_MS + number)
        eventually(lambda: len(closings(running)), "all to be closed", lambda count: count >= PREDICTIONS)
        yield running


def ask(stack: LocalStack, prediction_id: str, user: str, ts_ms: int) -> Any:
    body = {"prediction_id": prediction_id, "entities": {"user": user}, "ts_ms": ts_ms}
    return post(stack, "/v1/predict", body)


def predict_and_tell(stack: LocalStack, number: int) -> None:
    user, ts_ms = ("ada", "bob")[number % 2], NOON_MS + number * MINUTE_MS
    answer = ask(stack, f"p{number}", user, ts_ms)
    label = {"prediction_id": answer["prediction_id"], "label": number % 3 % 2, "ts_ms": ts_ms + 1}
    log = post(stack, "/v1/outcomes", label)["log"]
    if number % 10 == 9:  # the next ones are answered by a version that has learned this
        with FeatureClient(stack.plan, stack.redis_url) as client:
            client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", PATIENCE_S)


def closings(stack: LocalStack) -> list[Closing]:
    topic = stack.plan.topics.router("main").closings
    found = [message.value() for n in range(2) for message in read_log(stack.bootstrap, topic, n)]
    return [Closing.model_validate_json(value) for value in found if value is not None]


def examples(stack: LocalStack) -> list[tuple[int, Example]]:
    log = read_log(stack.bootstrap, stack.plan.topics.router("main").examples, 0)
    found = [(message.offset(), message.value()) for message in log]
    return [(offset, Example.model_validate_json(value)) for offset, value in found if value is not None]


def backtest(stack: LocalStack, project: Path, *words: str) -> Any:
    told = run_headrace(("backtest", str(project), *words), project, stack.settings.environment())
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout) if "--json" in words else told.stdout


def changed(stack: LocalStack, folder: Path, old: str, new: str) -> Path:
    """The project with another learners.py."""
    project = folder / "tried"
    shutil.copytree(stack.settings.project_dir, project, ignore=shutil.ignore_patterns(".headrace"))
    text = (project / "learners.py").read_text()
    assert old in text
    (project / "learners.py").write_text(text.replace(old, new))
    return project


def test_what_is_deployed_gives_what_was_served_and_learned(stack: LocalStack) -> None:
    (found,) = backtest(stack, stack.settings.project_dir, "--json")
    logged = closings(stack)
    assert found["closings"] == len(logged)
    assert (found["other_epochs"], found["labelled"]) == (0, PREDICTIONS)
    versions = read_versions(stack.kafka, stack.plan.project)
    for arm in found["arms"]:
        assert arm["is_deployed"]
        of_arm = [version for version in versions if version.name == arm["name"]]
        assert (arm["same_scores"], arm["other_scores"], arm["different"]) == (len(logged), 0, [])
        assert 5 < len(arm["compared"]) <= len(of_arm)
        newest = of_arm[-1].metrics  # of single numbers alone, but for the first of an hour
        assert {name: arm["as_learned"][name] for name in newest} == newest
        assert newest["count"] == PREDICTIONS
        assert arm["as_served"]["count"] == PREDICTIONS
    assert found["as_it_was"] == found["with_these"]
    served = {closing.prediction.versions["live"] for closing in logged}
    assert len(served) > 5
    told = backtest(stack, stack.settings.project_dir)
    for word in ("live", "deployed", f"{len(logged)} answers and", "digests equal"):
        assert word in told


def test_a_changed_learner_answers_where_its_versions_did(stack: LocalStack, tmp_path: Path) -> None:
    faster = "linear_model.LogisticRegression(__import__('river').optim.SGD(0.5))"
    project = changed(stack, tmp_path, "linear_model.LogisticRegression()", faster)
    (found,) = backtest(stack, project, "--json")
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert (arms["plain"]["is_deployed"], arms["live"]["is_deployed"]) == (True, False)
    prefix_of = {
        version.version: version.offset
        for version in read_versions(stack.kafka, stack.plan.project)
        if version.name == "live"
    }
    losses = []
    for closing in closings(stack):
        if closing.label is not None:
            prefix = prefix_of.get(closing.prediction.versions["live"], 0)
            model = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.5))
            losses.append(log_loss(trained(stack, prefix, model), closing))
    assert arms["live"]["as_served"]["log_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    assert arms["live"]["as_served"]["count"] == len(losses) == PREDICTIONS


def test_a_router_that_was_not_applied_has_no_past(stack: LocalStack, tmp_path: Path) -> None:
    project = changed(stack, tmp_path, 'name="main"', 'name="other"')
    assert backtest(stack, project) == "no router has been applied yet\n"


def test_a_feature_that_was_never_served_is_told(stack: LocalStack, tmp_path: Path) -> None:
    project = changed(stack, tmp_path, 'service="everything"', 'service="more"')
    more = """
young = FeatureView(
    name="young", entities=[user], schema=user_profile.schema, source=user_profile.batch_source
)
more = FeatureService(name="more", features=[young])
"""
    with (project / "features.py").open("a") as features:
        features.write(more)
    told = run_headrace(("backtest", str(project)), project, stack.settings.environment())
    assert told.returncode == 2
    assert "router 'main' reads 'young__age', which no logged prediction has" in told.stderr


def test_the_newest_predictions_are_answered_by_versions_of_a_time_before(stack: LocalStack) -> None:
    words = ("freshness", "--age", "0.25", "--age", "100", "--last", "0.5")
    told = run_headrace((*words, "--json"), stack.settings.project_dir, stack.settings.environment())
    assert told.returncode == 0, told.stderr
    (found,) = json.loads(told.stdout)
    assert found["ages_ms"] == [0, HOUR_MS // 4]  # the log does not reach back a hundred hours
    logged = {closing.prediction.ts_ms: closing for closing in closings(stack)}
    newest = max(ts_ms for ts_ms, closing in logged.items() if closing.label is not None)
    asked = [ts_ms for ts_ms in logged if newest - HOUR_MS // 2 < ts_ms <= newest]
    assert found["answered"] == len(asked) == 30
    versions = read_versions(stack.kafka, stack.plan.project)
    prefix_of = {version.version: version.offset for version in versions if version.name == "live"}
    prefixes = {ts_ms: prefix_of.get(one.prediction.versions["live"], 0) for ts_ms, one in logged.items()}
    for metrics, age_ms in zip(found["metrics"]["live"], found["ages_ms"], strict=True):
        losses = []
        for ts_ms in asked:
            prefix = max(prefixes[at] for at in logged if at <= ts_ms - age_ms)
            model = trained(stack, prefix, preprocessing.StandardScaler() | linear_model.LogisticRegression())
            losses.append(log_loss(model, logged[ts_ms]))
        assert metrics["log_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-9)
    text = run_headrace(words, stack.settings.project_dir, stack.settings.environment()).stdout
    assert "live   0.25 h" in text


def log_loss(model: Any, closing: Closing) -> float:
    p = model.predict_proba_one(inputs(closing.prediction.features)).get(True, 0.0)
    p = min(1.0 - 1e-6, max(1e-6, p))
    return -math.log(p if closing.label else 1.0 - p)


def inputs(features: Any) -> dict[str, Any]:
    return {name: value for name, value in sorted(features.items()) if value is not None}


def trained(stack: LocalStack, prefix: int, model: Any) -> Any:
    """The model after the examples before an offset."""
    for offset, example in examples(stack):
        if offset < prefix:
            model.learn_one(inputs(example.prediction.features), example.label >= 0.5)
    return model
