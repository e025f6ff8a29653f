"""Reads what a join gives out while it runs: what a reader was given once stays what it was given."""

from __future__ import annotations

import threading
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from headrace.streams.log.reader import open_consumer
from tests.support.join_scene import PARTITIONS, Loop


class OutputWatch:
    """A consumer of committed examples and closings, within its block.

    Attributes
    ----------
    read
        By topic and partition the values by their offsets.
    """

    def __init__(self, run: Loop) -> None:
        self._run = run
        self._places = [(run.names["examples"], 0), *((run.names["closings"], p) for p in range(PARTITIONS))]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.read: dict[tuple[str, int], dict[int, bytes]] = {place: {} for place in self._places}

    def __enter__(self) -> OutputWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def assert_is_the_log(self) -> None:
        """What was read is what anyone reads now."""
        for place in self._places:
            log = {m.offset(): m.value() for m in self._run.read(*place) if m.value() is not None}
            assert self.read[place] == log

    def _watch(self) -> None:
        """Until the block has ended and nothing is left to read."""
        consumer, at_end = open_consumer(self._run.bootstrap), set()
        consumer.assign([TopicPartition(*place, 0) for place in self._places])
        while not (self._stopping.is_set() and len(at_end) == len(self._places)):
            for message in consumer.consume(500, 0.2):
                place = (message.topic(), message.partition())
                if message.error() is None:
                    at_end.discard(place)
                    self._keep(place, message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    at_end.add(place)
        consumer.close()

    def _keep(self, place: tuple[str, int], message: Any) -> None:
        if message.value() is not None:
            before = self.read[place].setdefault(message.offset(), message.value())
            assert before == message.value()
