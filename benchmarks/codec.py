"""Records per second of the columnar decoders, and of fastavro and json, on the same six-field records.

Run `python -m benchmarks.codec`. Every value is compared before anything is timed; times are CPU times.
"""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable
from typing import Any

import fastavro

from headrace.schemas.avro import AvroDecoder, ConfluentEncoder
from headrace.schemas.event_decoder import EventDecoder
from headrace.schemas.json_events.decoder import JsonDecoder

RECORDS = 10_000
ROUNDS = 25
FIELDS = {
    "carrier": "string",
    "origin": "string",
    "flight": "long",
    "event_time_ms": "long",
    "delay": ["null", "double"],
    "cancelled": "boolean",
}
NEEDED = ["carrier", "event_time_ms", "delay"]
SCHEMA = {
    "type": "record",
    "name": "Departure",
    "fields": [{"name": name, "type": kind} for name, kind in FIELDS.items()],
}


def departure(number: int, dice: random.Random) -> dict[str, Any]:
    return {
        "carrier": dice.choice(["AA", "UA", "B6", "DL"]),
        "origin": dice.choice(["JFK", "LGA", "EWR"]),
        "flight": dice.randrange(10_000),
        "event_time_ms": 1_357_000_000_000 + 1000 * number,
        "delay": None if dice.random() < 0.03 else dice.gauss(12.0, 40.0),
        "cancelled": dice.random() < 0.03,
    }


def seconds(work: Callable[[], object]) -> float:
    """The best of several rounds: what the code takes when nothing else runs."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    dice = random.Random(1)
    departures = [departure(number, dice) for number in range(RECORDS)]
    schema, parsed = json.dumps(SCHEMA), fastavro.parse_schema(SCHEMA)
    avro = [ConfluentEncoder(schema, 7).encode(record) for record in departures]
    texts = [json.dumps(record, separators=(",", ":")).encode() for record in departures]
    sizes = f"{sum(map(len, avro)):,} bytes, as JSON {sum(map(len, texts)):,}"
    print(f"{RECORDS:,} records of {len(FIELDS)} fields, {sizes}")
    for fields in (list(FIELDS), NEEDED):
        print(f"{len(fields)} fields needed")
        report("Avro, columnar", AvroDecoder(schema, {7: schema}, fields), avro, departures)
        report("JSON, columnar", JsonDecoder(schema, fields), texts, departures)
    print("one by one")
    show("fastavro", lambda: [fastavro.schemaless_reader(io.BytesIO(raw[5:]), parsed, None) for raw in avro])
    show("json.loads", lambda: [json.loads(raw) for raw in texts])


def report(name: str, decoder: EventDecoder, payloads: list[bytes], expected: list[Any]) -> None:
    verify(decoder, payloads, expected)
    show(name, lambda: decoder.decode(payloads))


def show(name: str, work: Callable[[], object]) -> None:
    print(f"  {name:16}{RECORDS / seconds(work):12,.0f} records per CPU second")


def verify(decoder: EventDecoder, payloads: list[bytes], expected: list[Any]) -> None:
    decoded = decoder.decode(payloads)
    if decoded.errors:
        raise SystemExit(f"records in error: {decoded.errors}")
    for name, column in decoded.columns.items():
        values = zip(column.values.tolist(), column.valid.tolist(), strict=True)
        for row, (value, valid) in enumerate(values):
            got = (value.decode() if isinstance(value, bytes) else value) if valid else None
            if got != expected[row][name]:
                raise SystemExit(
                    f"record {row}, field '{name}': {got!r}, written was {expected[row][name]!r}"
                )


if __name__ == "__main__":
    main()
