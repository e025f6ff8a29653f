"""Reading a partition from an offset to its end, on real Kafka."""

from __future__ import annotations

from headrace.streams.log.reader import read_log
from tests.support.kafka_topics import delete_records, make_topic
from tests.support.ordered_producer import ordered_producer


def test_a_log_is_read_from_an_offset_or_from_where_it_begins(kafka_bootstrap: str, project: str) -> None:
    make_topic(kafka_bootstrap, project, 1)
    producer = ordered_producer(kafka_bootstrap)

    def offsets(start: int = 0) -> list[int]:
        return [int(message.offset() or 0) for message in read_log(kafka_bootstrap, project, 0, start)]

    assert offsets() == []
    for n in range(10):
        producer.produce(project, str(n))
    producer.flush()
    assert (offsets(), offsets(start=7), offsets(start=10)) == (list(range(10)), [7, 8, 9], [])

    delete_records(kafka_bootstrap, project, {0: 4})
    assert (offsets(), offsets(start=2), offsets(start=5)) == (
        [*range(4, 10)],
        [*range(4, 10)],
        [*range(5, 10)],
    )
