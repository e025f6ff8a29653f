"""How far a batch view is materialised is known for its definition, as long as its rows are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.featurestore.batch.progress import MaterializationProgress
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, TableSpec
from headrace.schemas.plan import OnlineStoreSpec, Plan
from headrace.streams.connections.redis import redis_client

END = datetime(2013, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
VIEW = BatchViewSpec(
    name="v", join_keys=(FieldSpec(name="k", dtype="Int64"),), features=(FieldSpec(name="f", dtype="Int64"),)
)
TABLE = TableSpec(place="data/v.parquet", timestamp_field="at", options="0")


def test_the_end_of_the_last_run_is_that_of_the_view_by_its_definition(redis_url: str, project: str) -> None:
    progress = MaterializationProgress(redis_url, Plan(project=project))
    assert progress.read(VIEW) is None
    progress.write(VIEW, END)
    assert progress.read(VIEW) == END
    progress.write(VIEW, END + timedelta(microseconds=1))
    assert progress.read(VIEW) == END + timedelta(microseconds=1)
    assert progress.read(VIEW.model_copy(update={"ttl_ms": 5})) is not None
    assert progress.read(VIEW.model_copy(update={"features": ()})) is None
    longer = FieldSpec(name="f", dtype="Int64", length=3)
    assert progress.read(VIEW.model_copy(update={"features": (longer,)})) is not None
    assert progress.read(VIEW.model_copy(update={"source": TABLE})) is None
    progress.close()
    keys = MaterializationProgress(
        redis_url, Plan(project=project, online=OnlineStoreSpec(key_ttl_s=5, key_version=2))
    )
    assert keys.read(VIEW) is None
    keys.close()
    other = MaterializationProgress(redis_url, Plan(project=f"{project}x"))
    assert other.read(VIEW) is None
    other.close()


def test_it_is_one_field_of_a_hash(redis_url: str, project: str) -> None:
    """What older versions wrote is read."""
    progress = MaterializationProgress(redis_url, Plan(project=project))
    progress.write(VIEW, END)
    with redis_client(redis_url) as client:
        stored = client.hgetall(f"headrace:{project}:materialized")
    assert stored == {b"v": b"a27cab084845@1357041600123456"}
    progress.close()


@pytest.mark.parametrize("end", ["", "soon", "1e3", "9" * 30, "9" * 5_000, "-" + "9" * 18, "²", b"\xff"])
def test_an_entry_that_is_damaged_counts_as_none(redis_url: str, project: str, end: str | bytes) -> None:
    progress = MaterializationProgress(redis_url, Plan(project=project))
    progress.write(VIEW, END)
    with redis_client(redis_url) as client:
        key = f"headrace:{project}:materialized"
        definition = client.hget(key, "v").partition(b"@")[0]
        client.hset(key, "v", definition + b"@" + (end if isinstance(end, bytes) else end.encode()))
        assert progress.read(VIEW) is None
        client.hset(key, "v", b"\xff")
        assert progress.read(VIEW) is None
    progress.close()


def test_a_redis_that_is_away_is_named(tmp_path: Path) -> None:
    progress = MaterializationProgress(f"unix://{tmp_path}/none.sock", Plan(project="p"))
    for call in (lambda: progress.read(VIEW), lambda: progress.write(VIEW, END)):
        with pytest.raises(ServiceUnavailable, match=r"Redis does not tell up to when .*; run it again"):
            call()
