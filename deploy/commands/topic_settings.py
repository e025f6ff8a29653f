"""Settings of the topics that Headrace owns, and where those of existing topics differ.

Logs keep everything: the broker would delete by timestamp, and replayed history would be gone within minutes.
Records of Headrace's own topics have the time at which the broker appended them. What is from the future
is judged by it. In event topics the timestamps are the users'.

Changelogs keep the last value of each key. A broker's defaults leave them uncompacted for a week or a GiB,
while a restore reads all that is there. These keep them at about twice the live state and one segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigEntry, ConfigResource, ResourceType

from headrace.streams.connections.kafka import Kafka, servers_of
from headrace.streams.connections.kafka_admin import KafkaAdmin

_MESSAGE = "max.message.bytes"
FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
# The broker's clock, not the producer's: it judges what is from the future.
KEEP = FOREVER | {"message.timestamp.type": "LogAppendTime"}
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
# The join's checkpoint is several records: a crash between them is made good from the values before it, which
# must not be compacted away meanwhile.
COMPACT_LATER = COMPACT | {"min.compaction.lag.ms": "600000"}


@dataclass(frozen=True)
class SettingDifference:
    """A setting of an existing topic that is not as the plan needs it."""

    topic: str
    key: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"topic '{self.topic}' has {self.key}={self.found}, wanted is {self.wanted}"


def differing_settings(kafka: Kafka, wanted: Mapping[str, Mapping[str, str]]) -> list[SettingDifference]:
    """Return what differs in existing topics; a larger message than wanted is no difference.

    Parameters
    ----------
    wanted
        Settings by topic.

    Raises
    ------
    ServiceUnavailable
        When the brokers do not answer.
    """
    admin = KafkaAdmin(kafka)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
    try:
        answers = admin.describe_configs(resources, request_timeout=admin.timeout_s)
        found = {resource.name: answer.result() for resource, answer in answers.items()}
    except KafkaException as error:
        raise admin.unavailable(error) from error
    return [one for name, settings in wanted.items() for one in _differences(name, settings, found[name])]


def _differences(
    topic: str, wanted: Mapping[str, str], found: Mapping[str, ConfigEntry]
) -> Iterator[SettingDifference]:
    for key, value in wanted.items():
        has = str(found[key].value)
        enough = int(has) >= int(value) if key == _MESSAGE else has == value
        if not enough:
            yield SettingDifference(topic, key, has, value)


def repair_commands(kafka: Kafka, differences: Sequence[SettingDifference]) -> list[str]:
    """Return a command of Kafka for each topic that puts its settings right.

    >>> differences = [SettingDifference("events", "retention.ms", "604800000", "-1")]
    >>> repair_commands("localhost:9092", differences)[0]
    'kafka-configs.sh --bootstrap-server localhost:9092 --alter --topic events --add-config retention.ms=-1'
    """
    by_topic: dict[str, list[str]] = {}
    for one in differences:
        by_topic.setdefault(one.topic, []).append(f"{one.key}={one.wanted}")
    start = f"kafka-configs.sh --bootstrap-server {servers_of(kafka)} --alter --topic"
    return [f"{start} {topic} --add-config {','.join(settings)}" for topic, settings in by_topic.items()]
