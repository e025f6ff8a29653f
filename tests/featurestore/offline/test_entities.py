"""Entities that a training set is asked for, out of files, in the types of the plan."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.offline.entities import join_keys_of, read_entities, request_fields_of
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.plan import Plan
from tests.support.carrier_delays import START


def test_entities_come_as_csv_with_or_without_zone_or_as_parquet(tmp_path: Path, plan: Plan) -> None:
    keys = join_keys_of(plan, "delays")
    assert [key.name for key in keys] == ["carrier"]
    (tmp_path / "z.csv").write_text("carrier,event_timestamp,label\n007,2013-01-01T12:00:00Z,1\n")
    (tmp_path / "n.csv").write_text("carrier,event_timestamp,label\n007,2013-01-01 12:00:00,1\n")
    expected = {"carrier": ["007"], "event_timestamp": [START], "label": [1]}
    assert read_entities(tmp_path / "z.csv", keys).to_pydict() == expected
    naive = expected | {"event_timestamp": [START.replace(tzinfo=None)]}
    assert read_entities(tmp_path / "n.csv", keys).to_pydict() == naive
    pq.write_table(read_entities(tmp_path / "z.csv", keys), tmp_path / "e.parquet")
    assert read_entities(tmp_path / "e.parquet", keys).to_pydict() == expected


def test_the_fields_of_the_request_are_asked_for_too(computed: Plan) -> None:
    assert [key.name for key in join_keys_of(computed, "computed")] == ["carrier"]
    assert request_fields_of(computed, "computed") == [FieldSpec(name="row", dtype="Int64")]
    assert request_fields_of(computed, "delays") == []


USER = FieldSpec(name="user", dtype="Int64")


def test_columns_have_the_types_of_the_plan_and_others_are_passed_on(tmp_path: Path) -> None:
    moment = FieldSpec(name="seen", dtype="UnixTimestamp")
    (tmp_path / "e.csv").write_text(
        "note,user,event_timestamp,seen\nx,,2013-01-01T12:00:00,2013-01-01T12:00:00\n"
    )
    table = read_entities(tmp_path / "e.csv", [USER, moment])
    assert str(table.schema.field("user").type) == "int64"
    assert str(table.schema.field("seen").type) == "timestamp[ms, tz=UTC]"
    assert table.to_pydict() == {
        "note": ["x"], "user": [None], "event_timestamp": [START.replace(tzinfo=None)], "seen": [START]
    }  # fmt: skip


def test_what_is_no_entity_is_refused_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_text("airline,event_timestamp\nUA,2013-01-01T12:00:00Z\n")
    with pytest.raises(HeadraceError, match=r"no column 'user' \(found: airline, event_timestamp\); add it"):
        read_entities(file, [USER])
    file.write_text("user,event_timestamp\nUA,2013-01-01T12:00:00Z\n")
    with pytest.raises(HeadraceError, match=r"e\.csv cannot be read: .*; give entities as CSV or Parquet"):
        read_entities(file, [USER])
    file.write_text("user,user,event_timestamp\n1,2,2013-01-01T12:00:00Z\n")
    with pytest.raises(HeadraceError, match=r"e\.csv: a column is there twice \(user, user, event_time"):
        read_entities(file, [USER])
    pq.write_table(pa.table({"user": [1]}), tmp_path / "e.parquet")
    with pytest.raises(HeadraceError, match="no column 'event_timestamp'"):
        read_entities(tmp_path / "e.parquet", [USER])
    with pytest.raises(HeadraceError, match=r"none\.parquet cannot be read"):
        read_entities(tmp_path / "none.parquet", [USER])
