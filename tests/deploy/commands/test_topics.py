from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from headrace.deploy.commands import topic_specs
from headrace.deploy.commands.partitions import surplus_partitions
from headrace.deploy.commands.plan_report import describe_event_times
from headrace.deploy.commands.topic_specs import all_topics
from headrace.deploy.commands.topics import (
    ensure_topics,
    misconfigured_topics,
    topic_ends,
    untrusted_event_times,
)
from headrace.deploy.local.mock_kafka import MockKafka
from headrace.deploy.settings import Settings
from headrace.schemas.errors import PlanError, ServiceUnavailable, SettingsError
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.schemas.topics import ProjectTopics, RouterTopics, SourceTopics
from headrace.streams.runtime.topic_settings import AHEAD, repair_commands
from tests.support.join_builders import a_router
from tests.support.kafka_topics import add_partitions, alter_topic, make_topic
from tests.support.purchases import purchases_plan
from tests.support.waiting import PATIENCE_S, eventually


def plan_of(project: str, shards: int = 3, partitions: int = 2) -> Plan:
    source = SourceSpec(
        name="clicks",
        topic=f"{project}-clicks",
        reader_schema="{}",
        writer_schemas={1: "{}"},
        timestamp_field="t",
        tile_ms=1000,
        late_tiles=1,
        max_future_ms=1000,
        shards=shards,
    )
    router = a_router(1000, name="main", partitions=partitions)
    return Plan(project=project, sources=(source,), routers=(router,))


def counts_of(bootstrap: str, project: str) -> dict[str, int]:
    found = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=PATIENCE_S).topics
    return {name: len(topic.partitions) for name, topic in found.items() if project in name}


def config_of(bootstrap: str, name: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    found = admin.describe_configs([resource])[resource].result()
    return {key: entry.value for key, entry in found.items()}


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    broker = MockKafka()
    yield broker
    broker.close()


def test_every_topic_is_there_with_its_partitions_and_once_more_changes_nothing(
    kafka_bootstrap: str, project: str
) -> None:
    plan = plan_of(project, shards=3, partitions=2)
    made = ensure_topics(kafka_bootstrap, plan, event_partitions=5)
    assert made == counts_of(kafka_bootstrap, project)
    assert ensure_topics(kafka_bootstrap, plan) == made == all_topics(plan, 5, {})
    assert made == {
        f"{project}-clicks": 5,
        SourceTopics(project, "clicks").changelog: 5,
        SourceTopics(project, "clicks").shuffle: 3,
        SourceTopics(project, "clicks").shuffle_changelog: 3,
        RouterTopics(project, "main").predictions: 2,
        RouterTopics(project, "main").outcomes: 2,
        RouterTopics(project, "main").closings: 2,
        RouterTopics(project, "main").join_changelog: 2,
        RouterTopics(project, "main").examples: 1,
        RouterTopics(project, "main").epochs: 1,
        ProjectTopics(project).dead_letters: 1,
        ProjectTopics(project).late: 1,
        ProjectTopics(project).models: 1,
        ProjectTopics(project).train_changelog: 1,
    }


def test_logs_keep_old_event_times_and_changelogs_are_compacted(kafka_bootstrap: str, project: str) -> None:
    ensure_topics(kafka_bootstrap, plan_of(project))
    assert config_of(kafka_bootstrap, f"{project}-clicks")["retention.ms"] == "-1"
    assert config_of(kafka_bootstrap, RouterTopics(project, "main").predictions)["retention.ms"] == "-1"
    changelog = SourceTopics(project, "clicks").changelog
    assert config_of(kafka_bootstrap, changelog)["cleanup.policy"] == "compact"


def test_an_event_topic_is_taken_as_it_is_and_its_changelog_follows(
    kafka_bootstrap: str, project: str
) -> None:
    make_topic(kafka_bootstrap, f"{project}-clicks", 7)
    made = ensure_topics(kafka_bootstrap, plan_of(project), event_partitions=2)
    assert made[f"{project}-clicks"] == made[SourceTopics(project, "clicks").changelog] == 7


def test_a_single_event_topic_may_have_a_count_of_its_own(kafka_bootstrap: str, project: str) -> None:
    name = f"{project}-clicks"
    made = ensure_topics(kafka_bootstrap, plan_of(project), event_partitions=4, topic_partitions={name: 1})
    assert made[name] == 1


def test_a_wrong_partition_count_names_topic_found_wanted_and_remedy(
    kafka_bootstrap: str, project: str
) -> None:
    make_topic(kafka_bootstrap, RouterTopics(project, "main").outcomes, 1)
    with pytest.raises(SettingsError, match=r"outcomes\.main' has 1 partitions.*needs 2.*delete"):
        ensure_topics(kafka_bootstrap, plan_of(project))
    assert RouterTopics(project, "main").predictions not in counts_of(kafka_bootstrap, project)


def test_partitions_that_the_plan_does_not_need_are_left_alone_and_told_of(
    kafka_bootstrap: str, project: str
) -> None:
    """Predictions and outcomes get equally many, or a join would not have those of one number together."""
    router, plan = RouterTopics(project, "main"), plan_of(project)
    make_topic(kafka_bootstrap, router.examples, 3)
    make_topic(kafka_bootstrap, router.predictions, 4)
    make_topic(kafka_bootstrap, SourceTopics(project, "clicks").shuffle, 5)
    made = ensure_topics(kafka_bootstrap, plan)
    assert made == counts_of(kafka_bootstrap, project)
    assert (made[router.examples], made[router.predictions], made[router.outcomes]) == (3, 4, 4)
    surplus = surplus_partitions(plan, topic_ends(kafka_bootstrap, plan))
    assert [line.split("'")[1] for line in surplus] == [
        SourceTopics(project, "clicks").shuffle,
        router.predictions,
        router.outcomes,
        router.examples,
    ]
    assert "has 5 partitions, the plan needs 3: Headrace neither writes nor reads" in surplus[0]


def test_added_partitions_of_views_that_read_directly_are_refused_unless_asked_for(
    kafka_bootstrap: str, project: str
) -> None:
    plan = purchases_plan(project)
    topic, changelog = plan.sources[0].topic, plan.topics.source("purchases").changelog
    ensure_topics(kafka_bootstrap, plan, event_partitions=2)
    add_partitions(kafka_bootstrap, topic, 3)
    with pytest.raises(PlanError, match="view 'by_user' reads the topic directly"):
        ensure_topics(kafka_bootstrap, plan)
    assert counts_of(kafka_bootstrap, project)[changelog] == 2
    assert ensure_topics(kafka_bootstrap, plan, allow_moved_keys=True)[changelog] == 3
    assert ensure_topics(kafka_bootstrap, plan)[changelog] == 3


def test_a_declared_number_that_the_topic_has_not_names_the_tag(kafka_bootstrap: str, project: str) -> None:
    plan = purchases_plan(project)
    source = plan.sources[0].model_copy(update={"partitions": 1})
    make_topic(kafka_bootstrap, source.topic, 2)
    with pytest.raises(SettingsError, match=r"has 2 partitions.*'headrace.partitions' says 1.*take the tag"):
        ensure_topics(kafka_bootstrap, plan.model_copy(update={"sources": (source,)}))


def test_more_shards_are_more_partitions_of_the_shuffle(kafka_bootstrap: str, project: str) -> None:
    ensure_topics(kafka_bootstrap, plan_of(project, shards=1))
    made = ensure_topics(kafka_bootstrap, plan_of(project, shards=3))
    assert made == counts_of(kafka_bootstrap, project)
    assert made[SourceTopics(project, "clicks").shuffle] == 3


def test_more_replicas_than_brokers_is_explained(kafka_bootstrap: str, project: str) -> None:
    with pytest.raises(ServiceUnavailable, match=r"refused to create topic.*HEADRACE_REPLICATION"):
        ensure_topics(kafka_bootstrap, plan_of(project), replication=3)


def test_on_the_built_in_broker_topics_appear_by_looking_at_them(mock: MockKafka, project: str) -> None:
    plan = plan_of(project, shards=4, partitions=4)
    router = RouterTopics(project, "main")
    for name in (router.examples, router.epochs):
        mock.create_topic(name, 1)
    own = ProjectTopics(project)
    for name in (own.dead_letters, own.late, own.models, own.train_changelog):
        mock.create_topic(name, 1)
    assert ensure_topics(mock.bootstrap, plan) == counts_of(mock.bootstrap, project)


def test_on_the_built_in_broker_a_count_it_cannot_make_is_an_error(mock: MockKafka, project: str) -> None:
    for plan in (plan_of(project, shards=5), plan_of(project, partitions=5)):
        with pytest.raises(SettingsError, match="has 4 partitions, the plan needs 5"):
            ensure_topics(mock.bootstrap, plan)


def test_no_broker_is_an_error_that_names_the_address(free_port: int, project: str) -> None:
    with pytest.raises(ServiceUnavailable, match=f"127.0.0.1:{free_port}.*HEADRACE_KAFKA"):
        ensure_topics(f"127.0.0.1:{free_port}", plan_of(project), timeout_s=1)


def test_an_existing_topic_with_other_settings_is_told_of_with_a_command(
    kafka_bootstrap: str, project: str
) -> None:
    plan = plan_of(project)
    changelog = plan.topics.source("clicks").changelog
    make_topic(kafka_bootstrap, f"{project}-clicks", 4)
    make_topic(kafka_bootstrap, changelog, 4)
    ensure_topics(kafka_bootstrap, plan)
    found = misconfigured_topics(kafka_bootstrap, plan)
    assert {one.topic for one in found} == {changelog}
    by_key = {one.key: (one.found, one.wanted) for one in found}
    assert by_key["cleanup.policy"] == ("delete", "compact")
    assert by_key["max.message.bytes"] == ("1048588", "8388608")
    assert str(found[0]) == f"topic '{changelog}' has cleanup.policy=delete, wanted is compact"
    (command,) = repair_commands(kafka_bootstrap, found)
    assert f"--topic {changelog} --add-config cleanup.policy=compact,segment.bytes=16777216" in command


def test_topics_that_were_made_here_are_as_wanted(kafka_bootstrap: str, project: str) -> None:
    plan = plan_of(project)
    ensure_topics(kafka_bootstrap, plan)
    assert misconfigured_topics(kafka_bootstrap, plan) == []


def test_event_topics_that_take_timestamps_from_the_future_are_told_of(
    kafka_bootstrap: str, project: str
) -> None:
    plan = plan_of(project)
    make_topic(kafka_bootstrap, f"{project}-clicks", 4)
    (found,) = untrusted_event_times(kafka_bootstrap, plan)
    assert (found.topic, found.found, found.wanted) == (f"{project}-clicks", "3600000", "30000")
    lines = describe_event_times(Settings(kafka=kafka_bootstrap), plan)
    assert lines[0] == str(found)
    assert lines[-1].strip() in repair_commands(kafka_bootstrap, [found])
    alter_topic(kafka_bootstrap, found.topic, **{found.key: found.wanted})
    eventually(lambda: untrusted_event_times(kafka_bootstrap, plan), "the setting", lambda left: not left)
    assert describe_event_times(Settings(kafka=kafka_bootstrap), plan) == []


def test_an_event_topic_that_is_made_takes_no_timestamp_from_the_future(
    kafka_bootstrap: str, project: str
) -> None:
    plan, topic = plan_of(project), f"{project}-clicks"
    ensure_topics(kafka_bootstrap, plan)
    assert untrusted_event_times(kafka_bootstrap, plan) == []
    now_ms = time.time_ns() // 1_000_000
    assert refusal(kafka_bootstrap, topic, now_ms + 55 * 60_000) == KafkaError.INVALID_TIMESTAMP
    assert refusal(kafka_bootstrap, topic, now_ms) is None
    assert refusal(kafka_bootstrap, topic, 1_357_000_000_000) is None


def refusal(bootstrap: str, topic: str, at_ms: int) -> int | None:
    """Code of the error with which the broker refuses a record of this timestamp."""
    codes: list[int | None] = []
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(
        topic, b"1", timestamp=at_ms, on_delivery=lambda error, _: codes.append(error and error.code())
    )
    producer.flush(PATIENCE_S)
    return codes[0]


def test_a_broker_that_does_not_know_the_setting_makes_the_topics_without_it(
    kafka_bootstrap: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_specs, "EVENTS", {AHEAD: "refused"})
    ensure_topics(kafka_bootstrap, plan_of(project))
    assert config_of(kafka_bootstrap, f"{project}-clicks")[AHEAD] == "3600000"


def test_the_built_in_broker_has_no_settings(mock: MockKafka, project: str) -> None:
    assert misconfigured_topics(mock.bootstrap, plan_of(project)) == []
    assert untrusted_event_times(mock.bootstrap, plan_of(project)) == []
