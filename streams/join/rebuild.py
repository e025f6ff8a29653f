"""The state of a partition of the join, made anew from the logs of its inputs and of what it has given out.

What the join gives out follows from its inputs. So the inputs are joined once more, as far as the group had
read them, and what comes out is left out: it is in the logs already. How many examples there are of a
prediction is read in the log of examples: a Headrace from before order clocks may have given out others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from headrace.schemas.errors import RecordError
from headrace.schemas.marks import read_mark
from headrace.schemas.records import Example, read_record
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.input import PartitionInputs
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS, Input, PredictionState
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.log.records import LogRecord, appended_ms, headers_of


@dataclass(frozen=True)
class InputRecord:
    """A record of an input, and when it was appended by a clock that is trusted, epoch milliseconds."""

    record: LogRecord
    appended_ms: int


def rebuild_join(
    kafka: Kafka,
    project: str,
    router: RouterSpec,
    partition: int,
    read: Mapping[Input, int],
    max_future_ms: int,
    config: JoinConfig,
) -> PartitionJoin:
    """Return the join of a partition as of a prefix of its inputs; blocks.

    Parameters
    ----------
    read
        Next offset of each input.
    max_future_ms
        How far ahead of its append time a record may be.

    Raises
    ------
    ServiceUnavailable
        When Kafka stops answering.
    """
    topics = RouterTopics(project, router.name)
    inputs = {
        source: _records(kafka, topics.input(source), partition, read.get(source, 0)) for source in INPUTS
    }
    join = fold_inputs(PartitionJoin(router, None, config), inputs, topics, partition, max_future_ms)
    end = end_offset(kafka, topics.examples, 0, committed=False)
    examples = (
        (key, value)
        for message in read_log(kafka, topics.examples, 0, until=end)
        if (key := message.key()) is not None
        and (value := message.value()) is not None
        and partition_for(key, router.partitions) == partition
    )
    take_examples(join, examples)
    return join


def fold_inputs(
    join: PartitionJoin,
    inputs: Mapping[Input, Iterator[InputRecord]],
    topics: RouterTopics,
    partition: int,
    max_future_ms: int,
) -> PartitionJoin:
    """Process inputs to their ends, in their one order; drop what comes out.

    The one that is behind is read first, so that few records are held.
    """
    both = PartitionInputs(join, topics, partition, max_future_ms)
    left = list(INPUTS)
    while left:
        lagging = both.merge.lagging
        source = lagging[0] if lagging and lagging[0] in left else left[0]
        head = next(inputs[source], None)
        if head is None:
            left.remove(source)
            both.merge.end(source)
        else:
            both.read(source, head.record, head.appended_ms)
        both.process()
        join.take_released()
    return join


def take_examples(join: PartitionJoin, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Note of each prediction that is held which examples of it are out, and how many there are in all.

    Parameters
    ----------
    records
        Key and value of the examples of the partition, in the order of their topic.
    """
    held = {
        (key.encode(), waiting.prediction_id): waiting
        for key, state in join.keys.items()
        for waiting in state.predictions.values()
    }
    keys = {key for key, _ in held}
    join.counts.examples = 0
    for key, value in records:
        join.counts.examples += 1
        if key in keys:
            _take_example(held, key, value)


def _take_example(held: Mapping[tuple[bytes, str], PredictionState], key: bytes, value: bytes) -> None:
    try:
        example = read_record(Example.model_validate_json, value)
    except RecordError:  # nobody's: the trainer refuses it, too
        return
    prediction_id = example.prediction.prediction_id
    waiting = held.get((key, prediction_id))
    number = example.example_id.removeprefix(prediction_id).removeprefix("#") or "0"
    if waiting is not None and number.isdecimal():
        waiting.examples, waiting.label = int(number) + 1, example.label


def last_marks(kafka: Kafka, outcomes: str) -> dict[int, int]:
    """Return the time that was told last of each partition of an event topic, epoch milliseconds; blocks.

    Parameters
    ----------
    outcomes
        Topic of the outcomes; each of its partitions has all marks.
    """
    times: dict[int, int] = {}
    for message in read_log(kafka, outcomes, 0):
        mark = read_mark(headers_of(message)) if message.value() is None else None
        if mark is not None and mark.partition is not None:
            times[mark.partition] = max(mark.time_ms, times.get(mark.partition, mark.time_ms))
    return times


def _records(kafka: Kafka, topic: str, partition: int, end: int) -> Iterator[InputRecord]:
    if end <= 0:
        return
    for message in read_log(kafka, topic, partition):
        if message.offset() >= end:
            return
        yield InputRecord(LogRecord.of_message(message), appended_ms(message))
