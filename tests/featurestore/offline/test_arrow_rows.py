"""Rows of a view as a table: the types of the plan, times and provenance of each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.featurestore.offline.arrow_rows import log_schema, log_table
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, StreamViewSpec
from headrace.streams.columnar.lists import Lists
from headrace.streams.sinks import OnlineRows
from tests.support.carrier_delays import START, at_ms


def test_columns_have_the_types_of_the_plan() -> None:
    kinds: dict[Any, Any] = {
        "Int32": np.array([-5], np.int64),
        "Int64": np.array([2**62], np.int64),
        "Float32": np.array([0.1]),
        "Float64": np.array([2**60], np.int64),
        "UnixTimestamp": np.array([at_ms(0)], np.int64),
        "Bool": np.array([True]),
    }
    view = StreamViewSpec(
        name="v",
        source="s",
        join_keys=(FieldSpec(name="a", dtype="Int32"), FieldSpec(name="b", dtype="String")),
        aggregations=tuple(
            AggregationSpec(feature=k.lower(), function="last", column="x", window_ms=1, hop_ms=1, dtype=k)
            for k in kinds
        ),
    )
    features = tuple((values, np.array([True])) for values in kinds.values())
    keys = (np.array([7]), np.array(["é".encode()]))
    table = log_table(view, [OnlineRows("v", keys, features, 0, 1, at_ms(0))])
    assert table.schema == log_schema(view)
    assert [str(kind) for kind in table.schema.types][:8] == [
        "int32",
        "string",
        "int32",
        "int64",
        "float",
        "double",
        "timestamp[ms, tz=UTC]",
        "bool",
    ]
    row = table.to_pylist()[0]
    assert (row["a"], row["b"], row["int32"], row["int64"], row["float64"]) == (7, "é", -5, 2**62, 2.0**60)
    assert (row["unixtimestamp"], row["bool"]) == (START, True)


def test_lists_are_lists_of_the_log() -> None:
    functions = {"last_2": "Array(Float64)", "last_3": "Array(String)"}
    aggregations = tuple(
        AggregationSpec(feature=name, function=name, column="x", window_ms=10, hop_ms=10, dtype=dtype)
        for name, dtype in functions.items()
    )
    key = FieldSpec(name="k", dtype="Int64")
    view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=aggregations)
    rows = []
    for offset, lengths in ((1, [2, 0]), (2, [1, 2])):
        valid, lengths = np.array([length > 0 for length in lengths]), np.array(lengths)
        numbers, texts = np.arange(3.0)[: lengths.sum()], np.array([b"a", "é".encode(), b""])[: lengths.sum()]
        features = ((Lists(numbers, lengths), valid), (Lists(texts, lengths), valid))
        rows.append(OnlineRows("v", (np.array([5, 6]),), features, 0, offset, 7))
    table = log_table(view, rows).to_pydict()
    assert table["last_2"] == [[0.0, 1.0], None, [0.0], [1.0, 2.0]]
    assert table["last_3"] == [["a", "é"], None, ["a"], ["é", ""]]
