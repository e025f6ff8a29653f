"""`headrace dead-letters replay`: sends records to their topic and partition again, with key and headers.

A record is sent once, whatever is interrupted. Before it goes, a marker in the topic of dead letters names
the end of its partition; after it has arrived, another names its place. A replay that finds the first without
the second searches the record behind that end before it sends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from headrace.deploy.commands.dead_letters import BEGUN, REPLAYED, LoggedDeadLetter
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from headrace.schemas.topics import ProjectTopics
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.kafka_producer import NOW, KafkaRecord
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import headers_of
from headrace.streams.producers.outbox import Deliveries, Outbox
from headrace.streams.state.fingerprint import definition_of

_CHUNK = 500
_MAX_BYTES = 8 << 20  # whatever was in a topic may go there again


def definitions_of(plan: Plan) -> dict[str, str | None]:
    """Return, by event topic, the definition of its views that is in force; None where it has no views."""
    return {s.topic: definition_of(plan, s) if plan.views_of(s.name) else None for s in plan.sources}


def objection(dead_letter: DeadLetter, project: str, definitions: Mapping[str, str | None]) -> str | None:
    """Return the reason why a record must not be sent again, or None.

    Parameters
    ----------
    dead_letter
        Its dead letter.
    project
        Name of the project.
    definitions
        Event topic to the definition of its views in force. What anyone may have written into the topic of
        dead letters goes to no other topic.
    """
    if dead_letter.kind == "overflow":
        return "tells of a sum; its records were applied"
    if dead_letter.omitted:
        return (
            f"the letter does not have all of it ({'; '.join(dead_letter.omitted)}); copy it from its topic"
        )
    topics = ProjectTopics(project)
    if dead_letter.topic.startswith(topics.prefix):
        if not topics.takes_outcomes(dead_letter.topic):
            return "Headrace makes these records itself"
    elif dead_letter.topic not in definitions:
        return "the plan in force reads no such topic"
    elif dead_letter.definition not in (None, definitions[dead_letter.topic] or dead_letter.definition):
        return "refused under an earlier plan; this one has read the topic anew and judged them again"
    return None


class Replay:
    """Sends the records of one topic of dead letters again. Only one may run at a time.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    letters_topic
        The topic of dead letters, where markers go, too.
    """

    def __init__(self, kafka: Kafka, dead_letter_topic: str) -> None:
        self._kafka = kafka
        self._outbox = Outbox({**client_config(kafka), "message.max.bytes": _MAX_BYTES})
        self._marks = Deliveries(dead_letter_topic)
        self._sent: set[str] = set()

    def run(self, dead_letters: Iterable[LoggedDeadLetter]) -> int:
        """Send the records of dead letters, each once, and return their number.

        Raises
        ------
        UnknownNameError
            When an event topic is gone.
        HeadraceError
            When a topic does not have the partition any more.
        DeliveryError
            When Kafka did not take a record. Those that it took are marked.
        """
        remaining, before = iter(dead_letters), len(self._sent)
        while chunk := list(islice(remaining, _CHUNK)):
            different = {
                logged.dead_letter.id: logged for logged in chunk if logged.dead_letter.id not in self._sent
            }
            self._replay(list(self._not_sent_yet([*different.values()])))
        return len(self._sent) - before

    def _not_sent_yet(self, dead_letters: Sequence[LoggedDeadLetter]) -> Iterator[LoggedDeadLetter]:
        """Leave out, and mark, records that an interrupted replay had sent."""
        places = self._search([logged for logged in dead_letters if logged.begun is not None])
        for logged in dead_letters:
            if logged.dead_letter.id in places:
                self._mark(logged.dead_letter, REPLAYED, places[logged.dead_letter.id])
            else:
                yield logged

    def _search(self, dead_letters: Sequence[LoggedDeadLetter]) -> dict[str, str]:
        """Find records that an interrupted replay has sent: id of the dead letter to place."""
        starts: dict[tuple[str, int], int] = {}
        for logged in dead_letters:
            where = (logged.dead_letter.topic, logged.dead_letter.partition)
            starts[where] = min(logged.begun or 0, starts.get(where, logged.begun or 0))
        places = {}
        for (topic, partition), start in starts.items():
            for message in read_log(self._kafka, topic, partition, start):
                if dead_letter := dict(headers_of(message)).get(REPLAYED):
                    places[dead_letter.decode(errors="replace")] = _place(topic, partition, message.offset())
        return places

    def _replay(self, dead_letters: Sequence[LoggedDeadLetter]) -> None:
        ends = (
            end_offsets(self._kafka, {logged.dead_letter.topic for logged in dead_letters})
            if dead_letters
            else {}
        )
        for logged in dead_letters:
            where = (logged.dead_letter.topic, logged.dead_letter.partition)
            if where not in ends:
                raise HeadraceError(
                    f"{logged.where}: there is no such partition any more; replay the others by --partition, "
                    "and send this record with a producer"
                )
            if logged.begun is None:
                self._mark(logged.dead_letter, BEGUN, str(ends[where]))
        self._outbox.flush(self._marks)
        sent = [(logged.dead_letter, self._send(logged.dead_letter)) for logged in dead_letters]
        self._outbox.settle()
        for dead_letter, delivery in sent:
            for next_offset in delivery.ends.values():
                self._sent.add(dead_letter.id)
                self._mark(
                    dead_letter, REPLAYED, _place(dead_letter.topic, dead_letter.partition, next_offset - 1)
                )
        self._outbox.flush(self._marks)
        for _, delivery in sent:
            self._outbox.raise_failures(delivery)

    def _send(self, dead_letter: DeadLetter) -> Deliveries:
        delivery = Deliveries(dead_letter.topic)
        self._outbox.send([original(dead_letter)], delivery)
        return delivery

    def _mark(self, dead_letter: DeadLetter, header: str, value: str) -> None:
        marker = KafkaRecord(None, dead_letter.id.encode(), headers=[(header, value.encode())], partition=0)
        self._outbox.send([marker], self._marks)


def original(dead_letter: DeadLetter) -> KafkaRecord:
    """Return the record of a dead letter as it was, with a header that has the dead letter's id.

    A record from the future gets the time of now: by its own it would be refused for ever, by the broker as
    well where its timestamp is ahead.
    """
    is_ahead = dead_letter.kind == "future" or dead_letter.timestamp_ms > time.time_ns() // 1_000_000
    headers = [(name, value) for name, value in dead_letter.original_headers if name != REPLAYED]
    return KafkaRecord(
        dead_letter.original_value,
        dead_letter.original_key,
        NOW if is_ahead else max(NOW, dead_letter.timestamp_ms),
        [*headers, (REPLAYED, dead_letter.id.encode())],
        dead_letter.partition,
    )


def _place(topic: str, partition: int, offset: int) -> str:
    return f"{topic}[{partition}]@{offset}"
