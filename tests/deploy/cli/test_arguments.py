"""Times on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from headrace.deploy.cli.arguments import epoch_ms


def test_a_time_is_utc_unless_it_names_a_zone() -> None:
    noon = datetime(2026, 3, 1, 12)
    assert epoch_ms(noon) == epoch_ms(noon.replace(tzinfo=UTC)) == 1_772_366_400_000
    assert epoch_ms(noon.replace(tzinfo=timezone(timedelta(hours=2)))) == 1_772_366_400_000 - 7_200_000


def test_no_time_is_none() -> None:
    assert epoch_ms(None) is None
