"""Checks of a process at its start: are its topics there, and do they keep what it lives by?"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Final

from headrace.schemas.errors import ServiceUnavailable, StateError
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.runtime.internal_topics import ProcessTopics
from headrace.streams.runtime.topic_settings import (
    SettingDifference,
    SettingsNotShown,
    differences,
    existing_settings,
    repair_commands,
)

_log = logging.getLogger(__name__)

_WEEK_MS = 7 * 86_400_000
_LEAST_KEPT: Final = {"retention.ms": _WEEK_MS, "retention.bytes": 1 << 30}  # of a log; less is short


def check_topic_settings(kafka: Kafka, topics: ProcessTopics) -> None:
    """Refuse topics whose settings lose what a process lives by; warn of others that differ.

    Topics that are missing are passed over. So is librdkafka's built-in broker, which has no settings, and a
    broker that shows them to nobody without the right to see them, with a warning.

    Raises
    ------
    StateError
        When a topic that the process lives by forgets records; with the setting and the command that puts it
        right.
    ServiceUnavailable
        When the brokers do not answer.
    """
    admin = KafkaAdmin(kafka)
    wanted = {**topics.writes, **topics.lives_by}
    try:
        found = existing_settings(admin, wanted)
    except SettingsNotShown as error:
        return _log.warning("the settings of topics are not checked: %s", error)
    lived_by = topics.lives_by.keys() & found.keys()
    lost = [one for name in sorted(lived_by) for one in losses(name, wanted[name], found[name])]
    others = [one for name in found for one in differences(name, wanted[name], found[name])]
    if lost:
        raise StateError(
            f"{'; '.join(map(str, lost))}: records that this process lives by are deleted, and what follows "
            f"from them is lost without a trace. Put it right, and start it again: "
            f"{'; '.join(repair_commands(kafka, lost))}"
        )
    for one in others:
        _log.warning("%s; `headrace apply` prints the command that puts it right", one)


def warn_of_topic_settings(kafka: Kafka, topics: ProcessTopics) -> None:
    """Do as `check_topic_settings`, but warn when Kafka is away, too: it may come yet."""
    try:
        check_topic_settings(kafka, topics)
    except ServiceUnavailable as error:
        _log.warning("the settings of topics are not checked: %s", error)


def losses(topic: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[SettingDifference]:
    """Yield the settings by which a topic loses records that it is to keep.

    Examples
    --------
    >>> keep = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    >>> [str(one) for one in losses("examples", keep, keep | {"retention.ms": "3600000"})]
    ["topic 'examples' has retention.ms=3600000, wanted is -1"]
    """
    policy = found.get("cleanup.policy", "")
    limits = {name: int(found.get(name, -1)) for name in _LEAST_KEPT}
    deletes = "delete" in policy
    if wanted["cleanup.policy"] == "compact":
        if deletes and any(limit >= 0 for limit in limits.values()):
            yield SettingDifference(topic, "cleanup.policy", policy, "compact")
        return
    if "compact" in policy:
        yield SettingDifference(topic, "cleanup.policy", policy, wanted["cleanup.policy"])
    for name, limit in limits.items():
        if deletes and 0 <= limit < _LEAST_KEPT[name]:
            yield SettingDifference(topic, name, str(limit), wanted[name])
