"""`headrace plan` and `headrace apply` of a project whose definitions change, on real Kafka and Redis."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.featurestore.plans.store import PlanStore, plan_key
from headrace.schemas.errors import HeadraceError, PlanError
from headrace.schemas.plan import text_hash
from headrace.streams.connections.redis import redis_client
from tests.support.clicks_project import CLICKS
from tests.support.feast_online import point_to
from tests.support.kafka_topics import add_partitions, partition_count

Run = Callable[..., str]
REFUSED = "refused: "


@pytest.fixture
def repo(tmp_path: Path, project: str, redis_url: str) -> Path:
    folder = tmp_path / "clicks"
    shutil.copytree(CLICKS, folder)
    config = folder / "feature_store.yaml"
    config.write_text(config.read_text().replace("project: clicks", f"project: {project}"))
    point_to(redis_url, folder)
    features = folder / "features.py"
    features.write_text(features.read_text().replace('topic="clicks"', f'topic="{project}.clicks"'))
    return folder


@pytest.fixture
def headrace(repo: Path, kafka_bootstrap: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, in this process: its output. `apply` raises what it refuses; `plan` says it at the end."""
    monkeypatch.setenv("HEADRACE_KAFKA", kafka_bootstrap)
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)

    def run(command: str, *options: str) -> str:
        done = CliRunner().invoke(app, [command, str(repo), *options], catch_exceptions=command == "plan")
        return f"{done.output}{REFUSED}{done.exception}" if done.exception else done.output

    return run


def test_an_unsafe_change_is_told_refused_and_applied_when_asked_for(
    headrace: Run, repo: Path, redis_url: str, project: str
) -> None:
    assert "+ stream feature view user_clicks" in headrace("apply")
    assert headrace("plan") == "nothing would change\n"
    features = repo / "features.py"
    text = features.read_text()
    hour, spent = "timedelta(hours=1)", text.rindex('name="spent_1h"')
    at = text.rindex(hour, 0, spent)
    features.write_text(text[:at] + "timedelta(hours=2)" + text[at + len(hour) :])
    told = headrace("plan")
    assert "~ feature spent_1h: window: 1:00:00 -> 2:00:00" in told
    assert "cost: learners affected: live" in told
    before = PlanStore(redis_url, project).load()
    with pytest.raises(PlanError) as refused:
        headrace("apply")
    assert told.partition(REFUSED)[2] == str(refused.value)
    assert REFUSED not in headrace("plan", "--allow-unsafe")
    said = r"features.py:\d+: stream feature view 'user_clicks', feature 'spent_1h'"
    assert re.search(said, str(refused.value))
    for words in ("window: 1:00:00 -> 2:00:00", "learner 'live'", "a name of its own", "--allow-unsafe"):
        assert words in str(refused.value)
    assert PlanStore(redis_url, project).load() == before
    assert "applied plan" in headrace("apply", "--allow-unsafe")
    assert headrace("plan") == "nothing would change\n"


def test_partitions_added_to_a_topic_that_is_read_directly_are_told_and_refused_until_it_is_shuffled(
    headrace: Run, repo: Path, kafka_bootstrap: str, project: str
) -> None:
    headrace("apply")
    topic = f"{project}.clicks"
    before = partition_count(kafka_bootstrap, topic)
    add_partitions(kafka_bootstrap, topic, before + 2)
    told = headrace("plan")
    assert f"has {before + 2} partitions, and had {before} when its state was made" in told
    assert "view 'user_clicks' reads the topic directly" in told
    with pytest.raises(PlanError, match=r"partitions were added; nothing was applied(.|\n)*user_clicks") as e:
        headrace("apply")
    assert told.partition(REFUSED)[2] == str(e.value)
    features = repo / "features.py"
    features.write_text(features.read_text().replace('"headrace.key": "user"', ""))
    assert "behind the shuffle: user_clicks" in headrace("plan")
    assert "applied plan" in headrace("apply")
    assert headrace("plan") == "nothing would change\n"


def test_a_plan_of_a_newer_version_is_replaced_only_when_asked_for(
    headrace: Run, redis_url: str, project: str
) -> None:
    assert "+ stream feature view user_clicks" in headrace("apply")
    plan = PlanStore(redis_url, project).load()
    newer = json.dumps(json.loads(plan.to_json()) | {"colour": "blue"})
    with redis_client(redis_url) as client:
        client.set(plan_key(project), text_hash(newer))
        client.set(plan_key(project, text_hash(newer)), newer)
    assert "cannot be told: the plan has fields that this Headrace does not know: colour" in headrace("plan")
    with pytest.raises(PlanError, match=r"colour.*newer version.*--allow-unsafe"):
        headrace("apply")
    assert "applied plan" in headrace("apply", "--allow-unsafe")
    assert PlanStore(redis_url, project).load() == plan


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text)


def test_what_apply_refuses_plan_refuses_in_the_same_words_and_nothing_is_changed_by_either(
    headrace: Run, repo: Path, redis_url: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headrace("apply")
    features, learners = repo / "features.py", repo / "learners.py"
    registry, before = repo / "data" / "registry.db", PlanStore(redis_url, project).load()
    registered, texts = registry.read_bytes(), (features.read_text(), learners.read_text())
    declared = ('tags={"headrace.key": "user"}', 'tags={"headrace.key": "user", "headrace.partitions": "3"}')

    def refused_alike(words: str, *options: str) -> None:
        told = headrace("plan", *options)
        with pytest.raises(HeadraceError, match=words) as refused:
            headrace("apply", *options)
        assert told.partition(REFUSED)[2] == str(refused.value)
        assert (registry.read_bytes(), PlanStore(redis_url, project).load()) == (registered, before)
        features.write_text(texts[0])
        learners.write_text(texts[1])

    edit(features, declared)
    refused_alike("'headrace.partitions' says 3")
    edit(learners, ("partitions=2", "partitions=4"))
    refused_alike("the plan needs 4", "--allow-unsafe")
    edit(features, declared)
    edit(learners, ("partitions=2", "partitions=4"))
    refused_alike(r"2 refusals(.|\n)*1\. an unsafe change(.|\n)*2\. topic .* 'headrace.partitions' says 3")
    monkeypatch.setenv("HEADRACE_MODEL_KEY", "")
    (repo / ".headrace").mkdir(exist_ok=True)
    (repo / ".headrace" / "model.key").write_bytes(b"short")
    refused_alike("model.key")
