"""Records per second of the columnar Avro decoder and of fastavro, on the same six-field records.

Run `python -m benchmarks.codec`. Every value of both is compared before anything is timed.
"""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable
from typing import Any

import fastavro

from schemas.avro import AvroDecoder, ConfluentEncoder

RECORDS = 10_000
ROUNDS = 15
FIELDS = {
    "carrier": "string",
    "origin": "string",
    "flight": "long",
    "event_time_ms": "long",
    "delay": ["null", "double"],
    "cancelled": "boolean",
}
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
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    dice = random.Random(1)
    encoder = ConfluentEncoder(json.dumps(SCHEMA), 7)
    payloads = [encoder.encode(departure(number, dice)) for number in range(RECORDS)]
    decoder = AvroDecoder(json.dumps(SCHEMA), {7: json.dumps(SCHEMA)}, list(FIELDS))
    parsed = fastavro.parse_schema(SCHEMA)

    def by_record() -> list[Any]:
        return [fastavro.schemaless_reader(io.BytesIO(payload[5:]), parsed, None) for payload in payloads]

    verify(decoder, payloads, by_record())
    columnar, single = seconds(lambda: decoder.decode(payloads)), seconds(by_record)
    print(f"{RECORDS:,} records of {len(FIELDS)} fields, all values equal")
    print(f"columnar {RECORDS / columnar:12,.0f} records/s")
    print(f"fastavro {RECORDS / single:12,.0f} records/s")
    print(f"ratio    {single / columnar:12.1f}")


def verify(decoder: AvroDecoder, payloads: list[bytes], expected: list[Any]) -> None:
    decoded = decoder.decode(payloads)
    if decoded.errors:
        raise SystemExit(f"records in error: {decoded.errors}")
    for name, column in decoded.columns.items():
        values = zip(column.values.tolist(), column.valid.tolist(), strict=True)
        for row, (value, valid) in enumerate(values):
            got = (value.decode() if isinstance(value, bytes) else value) if valid else None
            if got != expected[row][name]:
                raise SystemExit(
                    f"record {row}, field '{name}': {got!r}, fastavro has {expected[row][name]!r}"
                )


if __name__ == "__main__":
    main()
