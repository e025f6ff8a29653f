"""Labels of events are checked against the target: what is none becomes a dead letter with a remedy."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.schemas.domains import DomainSpec
from headrace.schemas.errors import SchemaError
from headrace.schemas.records import Closing, Example, Outcome
from headrace.schemas.router_specs import OutcomeSpec, RouterSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.join.changelog import decode_key, encode_key
from headrace.streams.join.example_archive import to_table
from headrace.streams.join.input import PartitionInputs
from headrace.streams.join.outcome_reader import OutcomeReader
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.log.records import LogRecord, LogRecords
from tests.support.join_builders import a_prediction, a_router, an_outcome
from tests.support.typed_flights import CLASSES, SCHEMA, arrivals

NUMBER = DomainSpec(kind="number", low=-120, high=2000)
CATEGORY = DomainSpec(kind="category", classes=CLASSES)
CODES = DomainSpec(kind="category", classes=("0", "1", "6"))
Format = Literal["avro", "json"]
EVENT = {"flight": "LH1", "late": None, "minutes": None, "reason": None, "code": None, "at": 900}


def router_of(domain: DomainSpec, **more: Any) -> RouterSpec:
    return a_router(10, **{"domain": domain, "default": domain.default, **more})


def read(router: RouterSpec, field: str, labels: list[Any], format: Format) -> tuple[list[Any], list[str]]:
    """The labels that events give, and the reasons of dead letters."""
    spec = OutcomeSpec(source="arrivals", key_field="flight", label_field=field)
    reader = OutcomeReader(arrivals("p", format), spec, 0, router=router)
    events = [EVENT | {field: label} for label in labels]
    values = [
        encode_confluent(SCHEMA, 1, one) if format == "avro" else json.dumps(one).encode() for one in events
    ]
    records = LogRecords.of([LogRecord(n, 1000, None, value) for n, value in enumerate(values)])
    found = [item.label for item in reader.read(records) if isinstance(item, Outcome)]
    return found, [letter.reason for letter in reader.take_dead_letters()]


@pytest.mark.parametrize("format", ["avro", "json"])
@pytest.mark.parametrize(
    ("domain", "field", "labels", "expected", "told"),
    [
        (CATEGORY, "reason", ["weather", "wether", "carrier", None], ["weather", "carrier"],
         "reason: 'wether' is not among the classes of target 'late'. Send one of: carrier, weather, security"
         "; did you mean 'weather'?"),
        (CODES, "code", [0, 6, 3], ["0", "6"], "code: 3 is not among the classes of target 'late'"),
        (NUMBER, "minutes", [-120.0, 2000.0, 2000.5], [-120.0, 2000.0],
         "minutes: 2000.5 is outside -120 to 2000 of 'late'. Send a number within, or widen"),
        (DomainSpec(), "late", [True, False], [1.0, 0.0], ""),
        (DomainSpec(), "code", [0, 1, 6], [0.0, 1.0],
         "code: 6 is neither 0 nor 1, and target 'late' is binary. Send 0 or 1; or declare what it is"),
    ],
)  # fmt: skip
def test_labels_of_events_are_those_of_the_target(
    format: Format, domain: DomainSpec, field: str, labels: list[Any], expected: list[Any], told: str
) -> None:
    found, reasons = read(router_of(domain), field, labels, format)
    assert found == expected
    assert len(reasons) == bool(told)
    assert all(reason.startswith(told) for reason in reasons)


def test_a_part_of_a_sum_may_be_any_number() -> None:
    found, reasons = read(router_of(NUMBER, duplicates="sum"), "minutes", [5000.0, float("inf")], "avro")
    assert (found, len(reasons)) == ([5000.0], 1)


def test_texts_are_labels_of_categories_alone() -> None:
    with pytest.raises(SchemaError, match="unless the target is a category"):
        read(router_of(NUMBER), "reason", [], "avro")


def outcome_record(label: object) -> LogRecord:
    fields = {"outcome_id": "o", "key": "k", "label": label, "ts_ms": 5}
    return LogRecord(0, 5, b"k", json.dumps(fields).encode())


@pytest.mark.parametrize(("domain", "label"), [(CATEGORY, 1.0), (NUMBER, "weather"), (DomainSpec(), "1")])
def test_an_outcome_of_another_kind_of_target_is_a_dead_letter(domain: DomainSpec, label: object) -> None:
    join = PartitionJoin(router_of(domain, duplicates="last"))
    inputs = PartitionInputs(join, RouterTopics("shop", "delays"), 0, 1000)
    inputs.merge.end("predictions")
    inputs.read("outcomes", outcome_record(label), 5)
    (letter,) = inputs.process()
    assert "labels of this router are" in letter.reason
    assert (join.counts.malformed, join.next_offsets["outcomes"]) == (1, 1)


def test_text_labels_and_distributions_pass_the_join_its_changelog_and_the_archive() -> None:
    join = PartitionJoin(router_of(CATEGORY))
    scores = {"m": dict(zip(CLASSES, (0.5, 0.25, 0.25), strict=True))}
    join.predict(a_prediction("p", "k", 0, scores=scores), 0)
    join.outcome(an_outcome("o", "k", 1, label="weather"), 0)  # type: ignore[arg-type]
    state = join.keys["k"]
    assert decode_key("k", encode_key(state)).predictions["p"].label == "weather"
    assert decode_key("k", encode_key(state)).outcomes["o"].outcome.label == "weather"
    join.predict(a_prediction("q", "l", 1000), 1)
    join.outcome(an_outcome("r", "l", 1000, label="carrier"), 1)  # type: ignore[arg-type]
    released = join.take_released()
    closing = released.closings[0]
    example = Example.model_validate_json(released.examples[0].to_bytes())
    assert example.label == "weather"
    assert Closing.model_validate_json(closing.to_bytes()).label == "weather"
    assert example.prediction.scores == scores
    table = to_table([example]).to_pylist()
    assert table[0]["label"] == "weather"
    assert {name: table[0][f"score.m:{name}"] for name in CLASSES} == scores["m"]
