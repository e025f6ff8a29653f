"""Whether the position of a join still speaks of the topics that are there."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from headrace.schemas.errors import StateError
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.log.reader import read_log

_log = logging.getLogger(__name__)


def input_ids(admin: KafkaAdmin, topics: RouterTopics) -> Mapping[Input, str]:
    """Return the ids of the topics of the inputs; empty where the broker gives none.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    ids = admin.topic_ids([topics.input(source) for source in INPUTS])
    return {source: ids[topics.input(source)] for source in INPUTS if ids}


def identify(
    join: PartitionJoin, kafka: Kafka, topics: RouterTopics, partition: int, committed: Mapping[Input, int]
) -> None:
    """Bind a restored join to the topics that are there.

    Parameters
    ----------
    join
        As its changelog gave it.
    topics
        Of its router.
    partition
        Its partition.
    committed
        How far the group had read each input, asked for before the changelog was read.

    Raises
    ------
    StateError
        When the position is of other topics, or behind what the group has read: the changelog is not all
        there.
    ServiceUnavailable
        When Kafka does not answer.
    """
    admin, places = KafkaAdmin(kafka), [(topics.input(source), partition) for source in INPUTS]
    ids, remedy = input_ids(admin, topics), _remedy(topics.router)
    begins, ends = admin.begin_offsets(places), admin.end_offsets(places)
    for source, place in zip(INPUTS, places, strict=True):
        where, offset = f"{place[0]}[{partition}]", join.next_offsets[source]
        was, found = join.topic_ids.get(source), ids.get(source)
        if was is not None and found is not None and was != found:
            raise StateError(
                f"topic '{place[0]}' was deleted and made again (its id was {was}, and is {found}), so the "
                f"join's position {offset} in {where} is of another log; {remedy}"
            )
        if offset > ends[place]:
            raise StateError(
                f"{where} ends at offset {ends[place]}, before the join's position {offset}: it was "
                f"truncated, or is another topic; {remedy}"
            )
        if committed.get(source, 0) > offset and _has_records(kafka, *place, offset, committed[source]):
            raise StateError(
                f"{where} was read up to {committed[source]}, the join's position is {offset}: what waits "
                f"for its outcome would be left out, so its changelog was lost; {remedy}"
            )
        if offset and begins[place] > offset:
            _log.error(
                "%s begins at offset %d, behind the position %d: %d records are lost to the join. Raise "
                "retention.ms of the topic above the longest time that no join runs",
                where,
                begins[place],
                offset,
                begins[place] - offset,
            )
    join.topic_ids = ids


def _has_records(kafka: Kafka, topic: str, partition: int, start: int, end: int) -> bool:
    """Whether there is a record, and not only the markers of transactions, in ``[start, end)``."""
    first = next(read_log(kafka, topic, partition, start), None)
    return first is not None and first.offset() < end


def _remedy(router: str) -> str:
    """Return the way out of a join whose state does not fit its topics."""
    return (
        f"stop the joins and run `headrace reset --join {router}`, which says what it will do before it does "
        "it"
    )
