"""The state of a partition of the join, read back from its changelog."""

from __future__ import annotations

from headrace.schemas.errors import StateError
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.join.changelog import read_changelog
from headrace.streams.join.config import JoinConfig, join_group
from headrace.streams.join.identity import identify
from headrace.streams.join.outputs import made_by
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS, Position
from headrace.streams.log.group_offsets import committed_offsets
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.log.records import headers_of
from headrace.streams.runtime.changelogs import changelog_messages
from headrace.streams.runtime.restoring import Restoring


def restore_join(
    kafka: Kafka,
    project: str,
    router: RouterSpec,
    partition: int,
    restoring: Restoring | None = None,
    config: JoinConfig | None = None,
) -> PartitionJoin:
    """Read the join of a partition as of its last checkpoint; blocks.

    A transaction that the last owner has open is waited for: what it commits belongs to the state.

    Raises
    ------
    CancelledError
        When `restoring` has been abandoned.
    ServiceUnavailable
        When the broker stops answering.
    StateError
        When a version is not read, when the position is not of the topics that are there, or when a Headrace
        from before transactions was killed and has left outputs that its last checkpoint does not know.
    """
    topics = RouterTopics(project, router.name)
    name, inputs = topics.join_changelog, {(topics.input(source), partition): source for source in INPUTS}
    read = committed_offsets(
        kafka, join_group(project), inputs
    )  # before the changelog: it has at least these
    messages = changelog_messages(kafka, name, partition, restoring or Restoring())
    snapshot = read_changelog((message.key(), message.value()) for message in messages)
    if snapshot.position is not None:
        _refuse_unknown_outputs(kafka, project, router.name, partition, snapshot.position)
    join = PartitionJoin(router, snapshot, config)
    identify(join, kafka, topics, partition, {inputs[place]: offset for place, offset in read.items()})
    return join


def output_ends(kafka: Kafka, project: str, router: str, partition: int) -> dict[str, int]:
    """End offsets of ``examples`` and ``closings``: at least those of what the partition has given out."""
    topics = RouterTopics(project, router)
    return {
        "examples": end_offset(kafka, topics.examples, 0, committed=False),
        "closings": end_offset(kafka, topics.closings, partition, committed=False),
    }


def _refuse_unknown_outputs(
    kafka: Kafka, project: str, router: str, partition: int, position: Position
) -> None:
    """Refuse a position from before transactions with outputs of its partition behind it.

    The join would give them out again.
    """
    if position.ends is None:
        return
    topics = RouterTopics(project, router)
    outputs = [("examples", topics.examples, 0), ("closings", topics.closings, partition)]
    for name, topic, number in outputs:
        for message in read_log(kafka, topic, number, position.ends.get(name, 0)):
            if made_by(headers_of(message)) == partition:
                raise StateError(
                    f"join of router '{router}', partition {partition}: the Headrace that ran before was "
                    f"killed, and its last checkpoint does not know {topic}[{number}] from offset "
                    f"{message.offset()} on. Start that version once more and stop it with SIGTERM, then "
                    "start this one"
                )
