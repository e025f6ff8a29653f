"""Messages of maps, structs, lists in lists and zoned times, as Feast reads them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from feast.protos.feast.types.Value_pb2 import MapKey, Value, ZonedTimestamp

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.decoder import decode_values
from headrace.featurestore.redis_codec.nested_decoder import instant
from headrace.schemas.errors import HeadraceError

NOON_S = 1_357_041_600


def zoned(zone: str, seconds: int = NOON_S) -> datetime | None:
    value = Value(zoned_timestamp_val=ZonedTimestamp(unix_timestamp=seconds, zone=zone))
    (found,) = decode_values([value.SerializeToString()])
    assert found is None or isinstance(found, datetime)
    return found


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("", UTC),
        ("UTC", ZoneInfo("UTC")),
        ("Asia/Tokyo", ZoneInfo("Asia/Tokyo")),
        ("+05:30", timezone(timedelta(hours=5, minutes=30))),
        ("UTC+05:30", timezone(timedelta(hours=5, minutes=30))),
        ("UTC-0330", timezone(-timedelta(hours=3, minutes=30))),
        (" GMT ", UTC),
    ],
)
def test_a_zone_is_a_name_or_an_offset(zone: str, expected: Any) -> None:
    found = zoned(zone)
    assert found == datetime.fromtimestamp(NOON_S, UTC)
    assert found is not None
    assert found.utcoffset() == datetime.fromtimestamp(NOON_S, expected).utcoffset()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "noon"])
def test_an_unknown_zone_is_read_as_utc_and_named_in_the_log(
    zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = zoned(zone)
    assert found is not None
    assert found.utcoffset() == timedelta(0)
    assert [zone in record.getMessage() for record in caplog.records] == [True]


def test_a_missing_time_is_none() -> None:
    assert instant(layout.NULL_SECONDS) is None
    assert zoned("Asia/Tokyo", layout.NULL_SECONDS) is None
    assert instant(0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (MapKey(int32_key=-3), -3),
        (MapKey(int64_key=2**40), 2**40),
        (MapKey(float_key=0.5), 0.5),
        (MapKey(double_key=0.1), 0.1),
        (MapKey(bool_key=True), True),
        (MapKey(unix_timestamp_key=NOON_S), datetime.fromtimestamp(NOON_S, UTC)),
        (MapKey(bytes_key=b"\0a"), b"\0a"),
        (MapKey(uuid_key=str(UUID(int=7))), UUID(int=7)),
        (MapKey(time_uuid_key=str(UUID(int=8))), UUID(int=8)),
        (MapKey(decimal_key="1.50"), Decimal("1.50")),
        (MapKey(), None),
    ],
)
def test_a_key_of_a_scalar_map_is_of_its_type(key: MapKey, expected: Any) -> None:
    value = Value()
    entry = value.scalar_map_val.val.add()
    entry.key.CopyFrom(key)
    entry.value.int64_val = 1
    (found,) = decode_values([value.SerializeToString()])
    assert found == {expected: 1}
    assert [type(each) for each in found] == [type(expected)]


def test_fields_that_are_not_known_are_passed_over() -> None:
    """A newer Feast may write more of them."""
    zone_then_more = ZonedTimestamp(unix_timestamp=NOON_S, zone="UTC").SerializeToString() + b"\x7a\x02hi"
    raw = layout.value_tag("ZonedTimestamp") + bytes([len(zone_then_more)]) + zone_then_more
    assert decode_values([raw]) == [datetime.fromtimestamp(NOON_S, UTC)]


def test_a_message_that_is_cut_off_is_an_error() -> None:
    raw = layout.value_tag("Map") + b"\x04\x0a\x09ab"
    with pytest.raises(HeadraceError, match="cannot be read"):
        decode_values([raw])
