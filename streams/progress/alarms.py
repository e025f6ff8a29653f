"""Alarms: counts of what should never be, kept beside progress."""

from __future__ import annotations

TWO_PARTITIONS = "two_partitions"  # rows that replaced one of another partition: their key is in both
TWO_PARTITIONS_REMEDY = (
    "Have every producer of the topic choose partitions alike (confluent-kafka: partitioner=murmur2_random), "
    "or take the source's headrace.key tag out: its views then go through the shuffle, which is right for "
    "any producer"
)


def alarms_key(project: str) -> str:
    """Redis hash of alarms: numbers under ``two_partitions|source``, at least so many.

    Under ``@process`` is the last batch that a process has counted, so that none is counted twice.
    """
    return f"headrace:{project}:alarms"
