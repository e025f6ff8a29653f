"""Whether a position still speaks of the topics that are there."""

from __future__ import annotations

import logging

from headrace.schemas.errors import StateError
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.reader import log_bounds
from headrace.streams.state.partition import PartitionState, TopicIds

_log = logging.getLogger(__name__)


def topic_ids(kafka: Kafka, topic: str, changelog: str) -> TopicIds | None:
    """Return the ids that Kafka has given a topic and its changelog; None where the broker gives none.

    A topic that is deleted and made again has another id.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    ids = KafkaAdmin(kafka).topic_ids([topic, changelog])
    return (ids[topic], ids[changelog]) if ids else None


def identify(state: PartitionState, source: str, kafka: Kafka, changelog: str) -> None:
    """Bind a restored state to the topics that are there, and count what its topic has lost.

    Parameters
    ----------
    state
        As its changelog gave it.
    source
        Name of the source, for the remedy.
    changelog
        Topic of the changelog.

    Raises
    ------
    StateError
        When the state is of another topic or changelog than those that are there, or a changelog that has
        lost its beginning.
    ServiceUnavailable
        When Kafka does not answer.
    """
    where, way_out = f"{state.topic}[{state.partition}]", remedy(source)
    now = topic_ids(kafka, state.topic, changelog)
    before = state.topic_ids
    if now is not None and before is not None:
        for name, was, found in zip((state.topic, changelog), before, now, strict=True):
            if was != found:
                raise StateError(
                    f"topic '{name}' was deleted and made again (its id was {was}, and is {found}), so the "
                    f"state of {where} as of offset {state.next_offset} is of another log; {way_out}"
                )
    if now is not None:  # the built-in broker drops what is old, and keeps nothing when it ends
        _refuse_cut(kafka, changelog, state.partition, way_out)
    begin, end = log_bounds(kafka, state.topic, state.partition)
    if state.next_offset > end:
        raise StateError(
            f"{where} ends at offset {end}, before the position {state.next_offset} of its state: it was "
            f"truncated, or is another topic; {way_out}"
        )
    if state.next_offset and begin > state.next_offset:
        lost = begin - state.next_offset
        _log.error(
            "%s begins at offset %d, behind the position %d: %d records are lost to its views. Raise "
            "retention.ms or retention.bytes of the topic above the longest time that no worker runs",
            where,
            begin,
            state.next_offset,
            lost,
        )
        state.skip_lost(begin)
    state.bind(now)


def _refuse_cut(kafka: Kafka, changelog: str, partition: int, way_out: str) -> None:
    """Refuse a changelog that begins further on: compaction leaves the beginning of a log where it is."""
    begin, _ = log_bounds(kafka, changelog, partition)
    if begin:
        raise StateError(
            f"{changelog}[{partition}] begins at offset {begin}: records were deleted by age or size, so "
            f"keys may be missing from the state; {way_out}"
        )


def refuse_gap(state: PartitionState, source: str, read_to: int | None) -> None:
    """Raise when records between the position and an offset up to which the log was read would be left out.

    Raises
    ------
    StateError
        When the state stands behind: its changelog is not all there.
    """
    if read_to is not None and read_to > state.next_offset:
        raise StateError(
            f"{state.topic}[{state.partition}] was read up to {read_to}, its state is at "
            f"{state.next_offset}: records would be left out, so its changelog was lost; {remedy(source)}"
        )


def remedy(source: str) -> str:
    """Return the way out of a state that does not fit its topics."""
    return f"stop the workers and run `headrace reset {source}`, which says what it will do before it does it"
