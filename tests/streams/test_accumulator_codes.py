"""State in a changelog goes by codes, so that classes and modules may take other names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations import AGGREGATIONS, LAST_K, aggregation_of
from headrace.streams.aggregations.accumulator import Accumulator, AccumulatorSpec
from headrace.streams.aggregations.edge import Earliest, Latest
from headrace.streams.log.records import LogRecord
from headrace.streams.state.fingerprint import definition_of
from headrace.streams.state.source_partition import SourcePartition
from tests.support.one_user import a_log, a_plan
from tests.support.purchases import EVENT_SCHEMA
from tests.support.stream_driver import StreamDriver

FUNCTIONS = [*sorted(AGGREGATIONS.keys() - LAST_K.keys()), "last_3"]
NAMES = [
    "Buckets(amount, None)",
    "Buckets(items, None)",
    "Earliest(amount, None)",
    "Earliest(items, None)",
    "Earliest(shop, None)",
    "Greatest(items, None)",
    "Latest(amount, None)",
    "Latest(items, None)",
    "Latest(shop, None)",
    "Least(amount, None)",
    "Recent(amount, 3)",
    "Recent(items, 2)",
    "Recent(shop, 4)",
    "Registers(amount, Precision(bits=6))",
    "Registers(shop, Precision(bits=6))",
    "Totals(amount, Counted())",
    "Totals(amount, Quanta(fixed=FixedPoint(quantum=0.01)))",
    "Totals(amount, Squares(fixed=FixedPoint(quantum=0.01)))",
    "Totals(items, Counted())",
    "Totals(items, Quanta(fixed=FixedPoint(quantum=1.0)))",
    "Totals(items, Squares(fixed=FixedPoint(quantum=1.0)))",
    "Totals(shop, Counted())",
]


def kinds(of: type = Accumulator) -> Iterator[type[Accumulator]]:
    """Accumulators that tiles may hold, wherever they are defined."""
    for kind in of.__subclasses__():
        if kind.__subclasses__():
            yield from kinds(kind)
        else:
            yield kind


def held_by(function: str) -> list[AccumulatorSpec]:
    spec = AggregationSpec(
        feature="f", function=function, column="x", window_ms=10, hop_ms=10, dtype="Int64", precision=6
    )
    return aggregation_of(spec).accumulators


def rows_after_restore(entries: list[tuple[bytes, bytes | None]]) -> dict[str, Any]:
    """What a restored partition says of user 7 when one more record has come."""
    plan = a_plan()
    driver = StreamDriver(plan, plan.sources[0], [[]])
    state = driver.partitions[0].state
    state.restore(entries)
    row = {"user": 7, "shop": "a", "event_ms": 4, "amount": None, "items": None, "note": ""}
    driver.partitions[0].log.append(LogRecord(3, 6, b"7", encode_confluent(EVENT_SCHEMA, 7, row)))
    driver.drain()
    return driver.online["by_user", (7,)]


def snapshot() -> list[tuple[bytes, bytes | None]]:
    plan = a_plan()
    driver = StreamDriver(plan, plan.sources[0], [a_log()])
    driver.drain()
    state = driver.partitions[0].state
    assert isinstance(state, SourcePartition)
    entries: list[tuple[bytes, bytes | None]] = state.snapshot()
    return entries


def test_every_accumulator_has_a_code_of_its_own() -> None:
    codes = Counter(kind.code for kind in kinds())
    assert sum(codes.values()) >= 8
    assert set(codes.values()) == {1}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_an_aggregation_holds_is_an_accumulator_with_a_code(function: str) -> None:
    every = set(kinds())
    for held in held_by(function):
        assert held.kind in every
        assert "code" in vars(held.kind)
        assert held.kind.code in held.codes


def test_parameters_have_codes_that_no_accumulator_and_no_other_parameter_has() -> None:
    parameters = {held.parameter for function in FUNCTIONS for held in held_by(function)}
    found = {type(one): one.code for one in parameters if one is not None and not isinstance(one, int)}
    assert len({*found.values(), *(kind.code for kind in kinds())}) == len(found) + len(list(kinds()))


def test_names_are_those_that_changelogs_are_ordered_by() -> None:
    view = a_plan().stream_view("by_user")
    names = {one.name for spec in view.aggregations for one in aggregation_of(spec).accumulators}
    assert sorted(names) == NAMES


@contextmanager
def renamed(names: dict[type, str]) -> Iterator[None]:
    """Classes under other names, in other modules, as after a renaming of the repository."""
    before = {kind: (kind.__name__, kind.__qualname__, kind.__module__) for kind in names}
    try:
        for kind, name in names.items():
            kind.__name__, kind.__qualname__, kind.__module__ = name, name, f"headrace.{name.lower()}"
        yield
    finally:
        for kind, (name, path, module) in before.items():
            kind.__name__, kind.__qualname__, kind.__module__ = name, path, module


def test_state_outlives_other_names_of_classes_and_modules() -> None:
    entries, definition = snapshot(), definition_of(a_plan(), a_plan().sources[0])
    before = rows_after_restore(entries)
    assert (before["first_amount_60_10"], before["last_amount_60_10"]) == (5.5, 1.25)
    parameters = {type(held.parameter) for function in FUNCTIONS for held in held_by(function)}
    others = {*kinds(), *(kind for kind in parameters if kind not in (int, type(None)))}
    names = {kind: kind.__name__[::-1] for kind in others} | {Latest: "Aaa", Earliest: "Zzz"}
    with renamed(names):
        assert definition_of(a_plan(), a_plan().sources[0]) == definition
        assert snapshot() == entries
        assert rows_after_restore(entries) == before


def test_another_code_is_another_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = definition_of(a_plan(), a_plan().sources[0])
    monkeypatch.setattr(Latest, "code", "Newest")
    assert definition_of(a_plan(), a_plan().sources[0]) != before


def test_definitions_are_those_of_before_there_were_codes() -> None:
    """And of before texts could be the first or the last value."""
    plan = a_plan()
    views = tuple(
        view.model_copy(update={"aggregations": tuple(a for a in view.aggregations if a.dtype != "String")})
        for view in plan.stream_views
    )
    assert definition_of(plan.model_copy(update={"stream_views": views}), plan.sources[0]) == "74d954c54cae"
