"""What a join must have given out, by its inputs as they stand in Kafka."""

from __future__ import annotations

from typing import Any

from headrace.schemas.marks import PartitionClocks, read_mark
from headrace.schemas.order_marks import read_order
from headrace.schemas.records import Closing, Example, Outcome, Prediction
from headrace.streams.log.partitioner import partition_for
from tests.support.join_oracle import M, O, Oracle, P
from tests.support.join_scene import PARTITIONS, WAIT, Loop
from tests.support.order_oracle import Order, in_one_order

Row = tuple[str, float, int]


def logged(run: Loop, source: str, partition: int) -> list[Any]:
    """The events of an input, as its partition has them."""
    events: list[Any] = []
    clocks = PartitionClocks()
    for message in run.read(run.names[source], partition):
        if (order_ms := read_order(message.headers())) is not None:
            events.append(Order(source, order_ms))
        elif (mark := read_mark(message.headers())) is not None:
            events.append(Order(source, mark.time_ms))
            if (least_ms := clocks.advance(mark)) is not None:
                events.append(M(source, least_ms))
        elif source == "predictions":
            asked = Prediction.model_validate_json(message.value())
            events.append(P(asked.prediction_id, asked.key, asked.ts_ms))
        else:
            one = Outcome.model_validate_json(message.value())
            events.append(O(one.outcome_id, one.key, one.ts_ms, one.label))
    return events


def examples_of(run: Loop, partition: int) -> list[Row]:
    """The examples of a partition of the join, in the order of their topic."""
    return [
        _example(one)
        for one in run.examples()
        if partition_for(one.prediction.key.encode(), PARTITIONS) == partition
    ]


def assert_in_the_order_of_the_logs(run: Loop, duplicates: str, missing: str = "negative") -> None:
    """Examples and closings of each partition are those of its two inputs, in their one order."""
    for partition in range(PARTITIONS):
        oracle = Oracle(WAIT, missing, duplicates)
        both = (logged(run, source, partition) for source in ("predictions", "outcomes"))
        for event in in_one_order(*both):
            if not isinstance(event, Order):
                oracle.step(event)
        assert examples_of(run, partition) == oracle.examples
        assert [_closing(one) for one in run.closings(partition)] == oracle.closings


def _example(one: Example) -> Row:
    return one.example_id, one.label, one.label_ts_ms


def _closing(one: Closing) -> tuple[str, str, float | None, int | None]:
    return one.prediction.prediction_id, one.status, one.label, one.label_ts_ms
