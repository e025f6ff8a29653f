"""Settings of the topics that Headrace owns, and where those of existing topics differ.

Logs keep everything: the broker would delete by timestamp, and replayed history would be gone within minutes.
Records of Headrace's own topics have the time at which the broker appended them. What is from the future
is judged by it. In event topics the timestamps are the producers', and the broker refuses those that are
ahead of its clock, so that they say the same whenever they are read (see `headrace.streams.log.records`).

Changelogs keep the last value of each key. A broker's defaults leave them uncompacted for a week or a GiB,
while a restore reads all that is there. These keep them at about twice the live state and one segment. The
cleaner passes over records of open and aborted transactions, so that what a checkpoint has superseded may go
as soon as it is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType

from headrace.schemas.errors import HeadraceError
from headrace.schemas.event_times import BROKER_AHEAD_MS
from headrace.streams.connections.kafka import Kafka, servers_of
from headrace.streams.connections.kafka_admin import KafkaAdmin, is_built_in

_MESSAGE = "max.message.bytes"
BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}
_NOT_SHOWN = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
AHEAD = "message.timestamp.after.max.ms"  # brokers from before Kafka 3.6 do not have it
EVENTS = FOREVER | {AHEAD: str(BROKER_AHEAD_MS)}
# The broker's clock, not the producer's: it judges what is from the future.
KEEP = FOREVER | BROKER_TIME
LARGE = {_MESSAGE: str(8 << 20)}  # these hold a whole range, a key's state, a record in base64
COMPACT = {
    "cleanup.policy": "compact",  # not also "delete": a quiet key's state would be lost with its age
    # The cleaner leaves the segment that is written to alone: so much is never compacted.
    "segment.bytes": str(16 << 20),
    "segment.ms": "600000",  # also where little is written
    "min.cleanable.dirty.ratio": "0.5",  # of superseded records; less has the cleaner copy more often
    "max.compaction.lag.ms": "3600000",  # even below that ratio: keys that have gone are gone in an hour
    "delete.retention.ms": "3600000",  # a tombstone must outlast a restore that has read what it deletes
}


@dataclass(frozen=True)
class SettingDifference:
    """A setting of an existing topic that is not as the plan needs it."""

    topic: str
    key: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"topic '{self.topic}' has {self.key}={self.found}, wanted is {self.wanted}"


class SettingsNotShown(HeadraceError):
    """The brokers do not show the settings of topics to this account."""


def existing_settings(admin: KafkaAdmin, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the settings of those of these topics that exist; none of librdkafka's built-in broker.

    Raises
    ------
    SettingsNotShown
        When the account has no right to see them.
    ServiceUnavailable
        When the brokers do not answer.
    """
    known = admin.metadata()
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names if name in known.topics]
    if not resources or is_built_in(known):
        return {}
    try:
        answers = admin.describe_configs(resources, request_timeout=admin.timeout_s)
        found = {resource.name: answer.result() for resource, answer in answers.items()}
    except KafkaException as error:
        if error.args[0].code() in _NOT_SHOWN:
            raise SettingsNotShown(f"{error.args[0].str()}; it takes the right DescribeConfigs") from error
        raise admin.unavailable(error) from error
    return {
        name: {key: entry.value for key, entry in entries.items() if entry.value is not None}
        for name, entries in found.items()
    }


def differences(
    topic: str, wanted: Mapping[str, str], found: Mapping[str, str]
) -> Iterator[SettingDifference]:
    """Yield the settings of a topic that are not as wanted.

    A larger message than wanted is no difference, and neither is a setting that its broker does not have.

    Examples
    --------
    >>> [str(one) for one in differences("late", {"max.message.bytes": "8"}, {"max.message.bytes": "2"})]
    ["topic 'late' has max.message.bytes=2, wanted is 8"]
    """
    for key, value in wanted.items():
        has = found.get(key, value)
        if int(has) < int(value) if key == _MESSAGE else has != value:
            yield SettingDifference(topic, key, has, value)


def untrusted_times(topic: str, found: Mapping[str, str]) -> Iterator[SettingDifference]:
    """Yield the setting of an event topic by which timestamps may be ahead of the broker's clock.

    Examples
    --------
    >>> kafka_4 = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "3600000"}
    >>> [str(one) for one in untrusted_times("clicks", kafka_4)]
    ["topic 'clicks' has message.timestamp.after.max.ms=3600000, wanted is 30000"]
    >>> [*untrusted_times("clicks", BROKER_TIME)]
    []
    """
    if BROKER_TIME.items() <= found.items():
        return
    if AHEAD not in found:
        yield from differences(topic, BROKER_TIME, {"message.timestamp.type": "CreateTime"})
    elif int(found[AHEAD]) > BROKER_AHEAD_MS:
        yield SettingDifference(topic, AHEAD, found[AHEAD], str(BROKER_AHEAD_MS))


def repair_commands(kafka: Kafka, found: Sequence[SettingDifference]) -> list[str]:
    """Return a command of Kafka for each topic that puts its settings right.

    >>> found = [SettingDifference("events", "retention.ms", "604800000", "-1")]
    >>> repair_commands("localhost:9092", found)[0]
    'kafka-configs.sh --bootstrap-server localhost:9092 --alter --topic events --add-config retention.ms=-1'
    """
    by_topic: dict[str, list[str]] = {}
    for one in found:
        by_topic.setdefault(one.topic, []).append(f"{one.key}={one.wanted}")
    start = f"kafka-configs.sh --bootstrap-server {servers_of(kafka)} --alter --topic"
    return [f"{start} {topic} --add-config {','.join(settings)}" for topic, settings in by_topic.items()]
