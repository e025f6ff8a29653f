"""The audit reads what the worker reads: every format, schemas of plan and registry, and every fault."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.marks import mark_headers
from headrace.streams.log.records import LogRecord
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.testing import SchemaRegistryStandIn
from tests.support.audit_scene import Scene, assert_all_equal
from tests.support.event_formats import FORMATS, JSON, REGISTRY, T0, Format, event
from tests.support.fuzz import Fuzz
from tests.support.properties import tries

FAULTS: dict[str, Callable[[Format], bytes | None]] = {
    "a tombstone": lambda of: None,
    "nothing": lambda of: b"",
    "noise": lambda of: b"\xff\xfe\x00",
    "a record that is cut off": lambda of: of.encode(event(1))[:-3],
    "bytes behind a record": lambda of: of.encode(event(1)) + b"\x07",
    "two records": lambda of: of.encode(event(1)) * 2,
    "an id that nobody knows": lambda of: b"\0" + struct.pack(">I", 99) + of.encode(event(1))[5:],
    "no id": lambda of: of.encode(event(1))[:3],
    "an array": lambda of: b"[" + of.encode(event(1)) + b"]",
    "brackets without end": lambda of: b"[" * 5000,
    "a constant that is no JSON": lambda of: b'{"user": 1, "shop": "a", "event_ms": NaN}',
    "a number as text": lambda of: b'{"user": "1", "shop": "a", "event_ms": 1700000000000}',
    "a time without zone": lambda of: b'{"user": 1, "shop": "a", "event_ms": "2023-11-14T22:13:20"}',
    "a time that is no time": lambda of: b'{"user": 1, "shop": "a", "event_ms": "yesterday"}',
    "a lone surrogate": lambda of: b'{"user": 1, "shop": "\\ud800", "event_ms": 1700000000000}',
    "bytes that are no text": lambda of: of.encode(event(1)).replace(b"B", b"\xff"),
    "a missing field": lambda of: b'{"user": 1, "event_ms": 1700000000000}',
    "a number beyond 64 bits": lambda of: b'{"user": 1e30, "shop": "a", "event_ms": 1700000000000}',
    "a null key": lambda of: of.encode(event(1, user=None)),
    "a null text key": lambda of: of.encode(event(1, shop=None)),
    "a null time": lambda of: of.encode(event(1, event_ms=None)),
    "a time in the future": lambda of: of.encode(event(1, event_ms=T0 + 10_000)),
    "a late time": lambda of: of.encode(event(1, event_ms=T0 - 10_000)),
    "a time before all times": lambda of: of.encode(event(1, event_ms=-(2**45))),
    "a sum that does not fit": lambda of: of.encode(event(1, amount=1e15)),
    "a long text": lambda of: of.encode(event(1, shop="s" * 2000)),
    "a text that ends in NUL": lambda of: of.encode(event(1, shop="s\0")),
    "a text with a NUL within": lambda of: of.encode(event(1, shop="s\0t")),
    "a value that is quarantined": lambda of: of.encode(event(1, items=-6)),
}


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryLookup]:
    with SchemaRegistryStandIn(REGISTRY) as stand_in:
        yield RegistryLookup(stand_in.url)


def audited(of: Format, records: list[LogRecord], registry: RegistryLookup, at_once: int) -> Scene:
    """A worker reads the records, and every vector that is served is recomputed from the same."""
    scene = Scene(of.plan(), [records], registry.supply)
    scene.drain(at_once)
    for user in range(3):
        scene.predict(user, "a")
    report = scene.audit()
    assert_all_equal(report, scene)
    assert report.records["purchases"].total() == len(records)
    return scene


@pytest.mark.parametrize("at_once", [7, 1000], ids=["one by one", "by column"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_audit_counts_what_the_worker_counts_whatever_is_among_the_records(name, at_once, registry):
    of = FORMATS[name]
    good = [of.encode(event(number)) for number in range(40)]
    values: list[Any] = [*good, *(fault(of) for fault in FAULTS.values()), *good]
    records = [of.record(offset, value) for offset, value in enumerate(values)]
    records.append(of.record(len(records), None, headers=mark_headers(T0 + 500)))
    counts = audited(of, records, registry, at_once).counts()
    assert counts["marks"] == 1
    assert counts["dead"] >= len(FAULTS) // 2
    assert (counts["applied"] >= len(good)) == of.is_read


@tries(20)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from([*FORMATS]), at_once=st.sampled_from([5, 100]))
def test_whatever_producers_do_to_records_both_count_alike(seed, name, at_once, registry):
    of, fuzz = FORMATS[name], Fuzz(seed)
    damage = fuzz.json_of if of.source is JSON else fuzz.bytes_of
    values = [damage(of.encode(event(number))) for number in range(60)]
    audited(
        of, [of.record(n, value, headers=fuzz.headers()) for n, value in enumerate(values)], registry, at_once
    )
