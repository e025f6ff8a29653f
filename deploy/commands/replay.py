"""`headrace dead-letters replay`: sends records to their topic and partition again, with key and headers.

A record is sent once, whatever is interrupted. Before it goes, a marker in the topic of dead letters names
the end of its partition; after it has arrived, another names its place. A replay that finds the first without
the second searches the record behind that end before it sends it.
"""

from __future__ import annotations

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
from headrace.streams.producers.outbox import Deliveries, Outbox
from headrace.streams.state.fingerprint import definition_of

_CHUNK = 500
_MAX_BYTES = 8 << 20  # whatever was in a topic may go there again


def definitions_of(plan: Plan) -> dict[str, str]:
    """Return, by event topic, the definition of its views that is in force."""
    return {s.topic: definition_of(plan, s) for s in plan.sources if plan.views_of(s.name)}


def objection(letter: DeadLetter, project: str, definitions: Mapping[str, str]) -> str | None:
    """Return the reason why a record must not be sent again, or None.

    Parameters
    ----------
    letter
        Its dead letter.
    project
        Name of the project.
    definitions
        Event topic to the definition of its views in force.
    """
    if letter.kind == "overflow":
        return "tells of a sum; its records were applied"
    topics = ProjectTopics(project)
    if letter.topic.startswith(topics.prefix):
        if not topics.takes_outcomes(letter.topic):
            return "Headrace makes these records itself"
    elif letter.definition not in (None, definitions.get(letter.topic, letter.definition)):
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

    def __init__(self, kafka: Kafka, letters_topic: str) -> None:
        self._kafka = kafka
        self._outbox = Outbox({**client_config(kafka), "message.max.bytes": _MAX_BYTES})
        self._marks = Deliveries(letters_topic)
        self._sent: set[str] = set()

    def run(self, letters: Iterable[LoggedDeadLetter]) -> int:
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
        remaining, before = iter(letters), len(self._sent)
        while chunk := list(islice(remaining, _CHUNK)):
            different = {logged.letter.id: logged for logged in chunk if logged.letter.id not in self._sent}
            self._replay(list(self._not_sent_yet([*different.values()])))
        return len(self._sent) - before

    def _not_sent_yet(self, letters: Sequence[LoggedDeadLetter]) -> Iterator[LoggedDeadLetter]:
        """Leave out, and mark, records that an interrupted replay had sent."""
        places = self._search([logged for logged in letters if logged.begun is not None])
        for logged in letters:
            if logged.letter.id in places:
                self._mark(logged.letter, REPLAYED, places[logged.letter.id])
            else:
                yield logged

    def _search(self, letters: Sequence[LoggedDeadLetter]) -> dict[str, str]:
        """Find records that an interrupted replay has sent: id of the dead letter to place."""
        starts: dict[tuple[str, int], int] = {}
        for logged in letters:
            where = (logged.letter.topic, logged.letter.partition)
            starts[where] = min(logged.begun or 0, starts.get(where, logged.begun or 0))
        places = {}
        for (topic, partition), start in starts.items():
            for message in read_log(self._kafka, topic, partition, start):
                if letter := dict(message.headers() or ()).get(REPLAYED):
                    places[letter.decode()] = _place(topic, partition, message.offset())
        return places

    def _replay(self, letters: Sequence[LoggedDeadLetter]) -> None:
        ends = end_offsets(self._kafka, {logged.letter.topic for logged in letters}) if letters else {}
        for logged in letters:
            where = (logged.letter.topic, logged.letter.partition)
            if where not in ends:
                raise HeadraceError(
                    f"{logged.where}: there is no such partition any more; replay the others by --partition, "
                    "and send this record with a producer"
                )
            if logged.begun is None:
                self._mark(logged.letter, BEGUN, str(ends[where]))
        self._outbox.flush(self._marks)
        sent = [(logged.letter, self._send(logged.letter)) for logged in letters]
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
    """Return the record of a dead letter as it was, with a header that has the dead letter's id.

    A record from the future gets the time of now: by its own it would be refused for ever.
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
