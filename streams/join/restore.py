"""Bringing a partition of the join back: its changelog, and what is in the outputs behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.schemas.records import Closing, Example
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import Emitted, fold_changelog, reached
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.runtime.restoring import Restoring


def restore_join(
    kafka: Kafka, project: str, router: RouterSpec, partition: int, restoring: Restoring | None = None
) -> tuple[PartitionJoin, dict[str, int]]:
    """The join of a partition as of its last checkpoint, and the end offsets of ``examples``, ``closings``.

    What a crash left in the outputs behind that checkpoint is read too, so that it is not put there again.
    The join gives nothing out before its inputs are as far as they were then. `restoring` is told how far
    this is: beyond the end of the changelog while the outputs are read. When it is
    abandoned, reading ends with a `CancelledError`.
    """
    restoring = restoring or Restoring()
    topics = RouterTopics(project, router.name)
    restoring.end = end_offset(kafka, topics.join_changelog, partition)
    changelog = _told(read_log(kafka, topics.join_changelog, partition), restoring)
    snapshot = fold_changelog((message.key(), message.value()) for message in changelog)
    restoring.next_offset = restoring.end
    ends = {"examples": 0, "closings": 0}
    if snapshot.position is not None:
        ends |= snapshot.position.ends
    emitted = Emitted()
    examples = read_log(kafka, topics.examples, 0, ends["examples"])
    for message in _of_partition(_told(examples, restoring), partition, emitted, ends, "examples"):
        emitted.add_example(Example.model_validate_json(message.value()))
    closings = read_log(kafka, topics.closings, partition, ends["closings"])
    for message in _of_partition(_told(closings, restoring), partition, emitted, ends, "closings"):
        emitted.closings.add(Closing.model_validate_json(message.value()).prediction.prediction_id)
    return PartitionJoin(router, snapshot, emitted), ends


def _told(messages: Iterator[Any], restoring: Restoring) -> Iterator[Any]:
    for message in messages:
        restoring.check()
        restoring.next_offset += 1
        yield message


def _of_partition(
    messages: Iterator[Any], partition: int, emitted: Emitted, ends: dict[str, int], name: str
) -> Iterator[Any]:
    """Records this partition has made; marks and those of other partitions only move the end."""
    for message in messages:
        ends[name] = message.offset() + 1
        made = reached(message.headers())
        if made is not None and made[0] == partition:
            emitted.reach(made[1])
            yield message
