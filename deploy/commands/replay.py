"""Sending refused records again: to their topic and partition, with their bytes, key, headers and timestamp.

A record is sent once, whatever is interrupted: before it goes, a marker in the letters' topic tells the end
of its partition; after it arrived, another tells where it is. A replay that finds the first without the
second looks for the record behind that end before it sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from headrace.deploy.commands.dead_letters import BEGUN, REPLAYED, FoundLetter
from headrace.deploy.commands.offsets import end_offsets
from headrace.schemas import topics
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.log.kafka_producer import NOW, KafkaRecord
from headrace.streams.log.reader import read_log
from headrace.streams.producers.outbox import Deliveries, Outbox
from headrace.streams.state.fingerprint import definition_of

_CHUNK = 500
_MAX_BYTES = 8 << 20  # whatever was in a topic may go there again


def definitions_of(plan: Plan) -> dict[str, str]:
    """Event topic to the definition of the views on it that is in force."""
    return {s.topic: definition_of(plan, s) for s in plan.sources if plan.views_of(s.name)}


def objection(letter: DeadLetter, project: str, definitions: Mapping[str, str]) -> str | None:
    """Why a record must not be sent again, or None.

    Parameters
    ----------
    project
        The project.
    definitions
        Event topic to the definition of its views in force.
    """
    if letter.kind == "overflow":
        return "tells of a sum; its records were applied"
    if letter.topic.startswith(topics.owned(project)):
        if not letter.topic.startswith(topics.outcomes(project, "")):
            return "Headrace makes these records itself"
    elif letter.definition not in (None, definitions.get(letter.topic, letter.definition)):
        return "refused under an earlier plan; this one has read the topic anew and judged them again"
    return None


class Replay:
    """Sends letters of one topic again. Only one may run at a time.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    letters_topic
        Where the letters are, and the markers go.
    """

    def __init__(self, kafka: Kafka, letters_topic: str) -> None:
        self._kafka = kafka
        self._outbox = Outbox({**client_config(kafka), "message.max.bytes": _MAX_BYTES})
        self._marks = Deliveries(letters_topic)
        self._sent: set[str] = set()

    def run(self, letters: Iterable[FoundLetter]) -> int:
        """Send the records of these letters, each once. How many were sent.

        Raises
        ------
        UnknownNameError
            When a topic is gone.
        HeadraceError
            When a topic has lost the partition.
        DeliveryError
            When Kafka did not take a record; those it took are marked.
        """
        remaining, before = iter(letters), len(self._sent)
        while chunk := list(islice(remaining, _CHUNK)):
            different = {found.letter.id: found for found in chunk if found.letter.id not in self._sent}
            self._replay(list(self._not_there_yet([*different.values()])))
        return len(self._sent) - before

    def _not_there_yet(self, letters: Sequence[FoundLetter]) -> Iterator[FoundLetter]:
        """Leaves out, and marks, what an interrupted replay had sent."""
        there = self._search([found for found in letters if found.begun is not None])
        for found in letters:
            if found.letter.id in there:
                self._mark(found.letter, REPLAYED, there[found.letter.id])
            else:
                yield found

    def _search(self, letters: Sequence[FoundLetter]) -> dict[str, str]:
        """Letter to the place of its record, where a replay that was interrupted has sent it."""
        starts: dict[tuple[str, int], int] = {}
        for found in letters:
            where = (found.letter.topic, found.letter.partition)
            starts[where] = min(found.begun or 0, starts.get(where, found.begun or 0))
        there = {}
        for (topic, partition), start in starts.items():
            for message in read_log(self._kafka, topic, partition, start):
                if letter := dict(message.headers() or ()).get(REPLAYED):
                    there[letter.decode()] = _place(topic, partition, message.offset())
        return there

    def _replay(self, letters: Sequence[FoundLetter]) -> None:
        ends = end_offsets(self._kafka, {found.letter.topic for found in letters}) if letters else {}
        for found in letters:
            where = (found.letter.topic, found.letter.partition)
            if where not in ends:
                raise HeadraceError(
                    f"{found.where}: there is no such partition any more; replay the others by --partition, "
                    "and send this record with a producer"
                )
            if found.begun is None:
                self._mark(found.letter, BEGUN, str(ends[where]))
        self._outbox.flush(self._marks)
        sent = [(found.letter, self._send(found.letter)) for found in letters]
        self._outbox.settle()
        for letter, delivery in sent:
            for next_offset in delivery.ends.values():
                self._sent.add(letter.id)
                self._mark(letter, REPLAYED, _place(letter.topic, letter.partition, next_offset - 1))
        self._outbox.flush(self._marks)
        for _, delivery in sent:
            self._outbox.raise_failures(delivery)

    def _send(self, letter: DeadLetter) -> Deliveries:
        delivery = Deliveries(letter.topic)
        self._outbox.send([original(letter)], delivery)
        return delivery

    def _mark(self, letter: DeadLetter, header: str, value: str) -> None:
        marker = KafkaRecord(None, letter.id.encode(), headers=[(header, value.encode())], partition=0)
        self._outbox.send([marker], self._marks)


def original(letter: DeadLetter) -> KafkaRecord:
    """The record of a letter as it was, and a header with the letter's id.

    One that came from the future gets the time of now: by its own it would be refused for ever.
    """
    headers = [(name, value) for name, value in letter.original_headers if name != REPLAYED]
    return KafkaRecord(
        letter.original_value,
        letter.original_key,
        NOW if letter.kind == "future" else max(NOW, letter.timestamp_ms),
        [*headers, (REPLAYED, letter.id.encode())],
        letter.partition,
    )


def _place(topic: str, partition: int, offset: int) -> str:
    return f"{topic}[{partition}]@{offset}"
