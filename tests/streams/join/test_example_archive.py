"""The Parquet archive of examples, on real Kafka."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.schemas.marks import mark_headers
from headrace.schemas.records import Example
from headrace.streams.join.example_archive import ParquetArchive, next_offset, read_examples, to_table
from tests.support.join_builders import a_prediction
from tests.support.kafka_topics import make_topic
from tests.support.ordered_producer import ordered_producer


def an_example(n: int) -> Example:
    prediction = a_prediction(f"p{n}", f"k{n}", n, features={"v__mean": None if n == 0 else n / 2})
    return Example(example_id=f"p{n}", prediction=prediction, label=1.0, label_ts_ms=n + 5)


def fail(error: BaseException) -> None:
    raise error


@pytest.fixture
def topic(kafka_bootstrap: str, project: str) -> str:
    make_topic(kafka_bootstrap, project, 1, {"retention.ms": "-1"})
    return project


@pytest.fixture
def send(kafka_bootstrap: str, topic: str) -> Callable[[range], None]:
    producer = ordered_producer(kafka_bootstrap)

    def send(numbers: range) -> None:
        for n in numbers:
            producer.produce(topic, an_example(n).to_bytes(), partition=0)
        producer.produce(topic, None, partition=0, headers=mark_headers(numbers[-1]))
        producer.flush()

    return send


def test_the_archive_holds_every_example_once_over_restarts(
    kafka_bootstrap: str, topic: str, send: Callable[[range], None], tmp_path: Path
) -> None:
    for numbers in (range(0, 5), range(5, 12), range(12, 14)):
        send(numbers)
        ParquetArchive(tmp_path, kafka_bootstrap, topic, fail, part_records=3).start().stop()
    table = read_examples(tmp_path)
    assert table["example_id"].to_pylist() == [f"p{n}" for n in range(14)]
    assert table["feature.v__mean"].to_pylist() == [None, *(n / 2 for n in range(1, 14))]
    assert next_offset(tmp_path) == 14 + 3


VALUES = st.one_of(
    *(st.none(), st.booleans(), st.floats(), st.text(max_size=5)),
    *(st.integers(), st.sampled_from([2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**70, 0])),
)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8), st.integers(0, 8))
def test_whatever_values_requests_bring_they_are_archived_and_read(
    values: list[tuple[Any, Any]], first: int
) -> None:
    """Two ordinary requests are enough: a whole number that no float is, and a broken one."""
    examples = [an_example(0)]
    for request, feature in values:
        raw = json.loads(an_example(1).to_bytes())
        raw["prediction"]["request"] = {"amount": request}
        raw["prediction"]["features"] = {"v__mean": feature}
        with contextlib.suppress(ValidationError):
            examples.append(Example.model_validate_json(json.dumps(raw)))
    with tempfile.TemporaryDirectory() as folder:
        for n, part in enumerate((examples[:first], examples[first:])):
            pq.write_table(to_table(part), Path(folder) / f"examples-p0-{n:012d}-{n + 1:012d}.parquet")
        assert len(read_examples(Path(folder))) == len({each.example_id for each in examples})
        table = to_table(examples)
    assert len(table) == len(examples)


def test_what_is_no_example_is_left_out_and_ends_nothing(
    kafka_bootstrap: str, topic: str, send: Callable[[range], None], tmp_path: Path
) -> None:
    producer = ordered_producer(kafka_bootstrap)
    send(range(0, 2))
    for value in (b"{}", b"\xff", b"", an_example(7).to_bytes()[:-1]):
        producer.produce(topic, value, partition=0)
    producer.flush()
    send(range(2, 4))
    ParquetArchive(tmp_path, kafka_bootstrap, topic, fail).start().stop()
    assert read_examples(tmp_path)["example_id"].to_pylist() == ["p0", "p1", "p2", "p3"]
    assert next_offset(tmp_path) == 2 + 1 + 4 + 2 + 1


def test_a_part_left_unfinished_by_a_crash_is_not_read(
    kafka_bootstrap: str, topic: str, send: Callable[[range], None], tmp_path: Path
) -> None:
    send(range(0, 3))
    (tmp_path / "examples-p0-000000000000-000000000003.unfinished").write_bytes(b"half a file")
    ParquetArchive(tmp_path, kafka_bootstrap, topic, fail).start().stop()
    assert read_examples(tmp_path)["example_id"].to_pylist() == ["p0", "p1", "p2"]


def test_columns_are_named_by_what_they_hold() -> None:
    row = to_table([an_example(4)]).to_pylist()[0]
    assert row == {
        "example_id": "p4",
        "ts_ms": 4,
        "label_ts_ms": 9,
        "label": 1.0,
        "weight": 1.0,
        "chosen": "m",
        "propensity": 1.0,
        "epoch": 0,
        "entity.flight": "k4",
        "feature.v__mean": 2.0,
        "request.hour": 7,
        "score.m": 0.25,
        "version.m": "1.0",
    }


def test_an_empty_archive_is_an_empty_table(tmp_path: Path) -> None:
    assert read_examples(tmp_path / "never").num_rows == 0


def test_two_joins_that_archive_into_one_folder_leave_each_example_once(
    kafka_bootstrap: str, topic: str, send: Callable[[range], None], tmp_path: Path
) -> None:
    first = ParquetArchive(tmp_path, kafka_bootstrap, topic, fail, part_records=3)
    second = ParquetArchive(tmp_path, kafka_bootstrap, topic, fail, part_records=5)
    first.start()
    second.start()
    send(range(12))
    first.stop()
    second.stop()
    assert read_examples(tmp_path)["example_id"].to_pylist() == [f"p{n}" for n in range(12)]


def test_fields_of_any_names_cost_their_examples_and_not_all_memory(
    kafka_bootstrap: str, topic: str, tmp_path: Path
) -> None:
    producer = ordered_producer(kafka_bootstrap)
    for n in range(24):
        request = {f"made up {n} {k}": k for k in range(1_000)}
        prediction = a_prediction(f"p{n}", f"k{n}", n, request=request, features={"v__mean": 0.5})
        example = Example(example_id=f"p{n}", prediction=prediction, label=1.0, label_ts_ms=n)
        producer.produce(topic, example.to_bytes(), partition=0)
    producer.flush()
    ParquetArchive(tmp_path, kafka_bootstrap, topic, fail).start().stop()
    widths = [len(pq.read_schema(file).names) for file in tmp_path.iterdir()]
    assert max(widths) < 3_100
    wanted = {"feature.v__mean", "request.made up 7 1"}
    table = read_examples(tmp_path, wanted)
    assert table["example_id"].to_pylist() == [f"p{n}" for n in range(24)]
    assert table["feature.v__mean"].to_pylist() == [0.5] * 24
    assert table["request.made up 7 1"].to_pylist() == [1 if n == 7 else None for n in range(24)]
    assert len(table.column_names) == 8 + len(wanted)


def test_many_examples_of_the_same_fields_are_one_part(
    kafka_bootstrap: str, topic: str, tmp_path: Path
) -> None:
    producer = ordered_producer(kafka_bootstrap)
    for n in range(4):
        prediction = a_prediction(f"p{n}", f"k{n}", n, features={f"v__f{k}": 0.5 for k in range(3_000)})
        example = Example(example_id=f"p{n}", prediction=prediction, label=1.0, label_ts_ms=n)
        producer.produce(topic, example.to_bytes(), partition=0)
    producer.flush()
    ParquetArchive(tmp_path, kafka_bootstrap, topic, fail).start().stop()
    assert len(list(tmp_path.iterdir())) == 1
