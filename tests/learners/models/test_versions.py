"""Versions in the models topic, and those in files of before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.deploy.local.mock_kafka import MockKafka
from headrace.learners.models.versions import (
    LINEAGE,
    PublishedVersion,
    read_lineage_file,
    read_versions,
)
from headrace.schemas.topics import ProjectTopics
from headrace.streams.log.producer import LogProducer


def version(minor: int, name: str = "tree") -> PublishedVersion:
    return PublishedVersion(
        name=name, major=1, minor=minor, parent=None, offset=10, examples=9, first_ms=1, last_ms=2,
        mark_ms=None, definition="d", plan_hash="p", libraries={"river": "0"}, created_ms=3,
        metrics={"auc": 0.5}, digest="e", artifact="f",
    )  # fmt: skip


@pytest.fixture
def broker(project: str) -> Iterator[MockKafka]:
    broker = MockKafka({ProjectTopics(project).models: 1})
    yield broker
    broker.close()


def test_versions_come_back_in_the_order_of_their_numbers_the_last_of_each(
    broker: MockKafka, project: str
) -> None:
    producer = LogProducer(broker.bootstrap)
    written = [version(10), version(9), version(3, "base"), replace(version(9), offset=11)]
    for each in written:
        producer.send(ProjectTopics(project).models, 0, None, each.encode())
    producer.flush_blocking()
    assert read_versions(broker.bootstrap, project) == [written[2], written[3], written[0]]


def test_records_of_others_in_the_topic_are_passed_over(broker: MockKafka, project: str) -> None:
    producer = LogProducer(broker.bootstrap)
    nameless = b'{"name": 7, "major": 1, "minor": 1}'
    raw = json.loads(version(2).encode())
    odd = [{"v": []}, {"v": None}, {"v": 99}, {"offset": "x"}, {"metrics": 5}, {"major": 10**400}, {"new": 1}]
    damaged = [json.dumps(raw | change).encode() for change in odd]
    for value in (b"", b"{", b"[]", b"\xff", nameless, *damaged, version(1).encode()):
        producer.send(ProjectTopics(project).models, 0, None, value)
    producer.flush_blocking()
    assert read_versions(broker.bootstrap, project) == [version(1)]


def test_a_project_without_the_topic_has_none(broker: MockKafka) -> None:
    assert read_versions(broker.bootstrap, "another") == []


def test_a_lineage_file_torn_by_a_crash_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    lines = [version(2).encode().decode(), '{"name": "tr', version(1).encode().decode()]
    (tmp_path / "tree" / LINEAGE).write_text("\n".join(lines))
    assert read_lineage_file(tmp_path, "tree") == [version(1), version(2)]
    assert read_lineage_file(tmp_path, "base") == []


@pytest.mark.parametrize("line", [b"[1]", b"7", b'{"major": "x", "minor": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_line_that_is_no_version_is_passed_over(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / LINEAGE).write_bytes(b"\n".join([version(1).encode(), line, version(2).encode()]))
    assert read_lineage_file(tmp_path, "tree") == [version(1), version(2)]


def test_a_short_record_has_what_differs_from_the_last_whole_one(broker: MockKafka, project: str) -> None:
    heavy = {"count": 9, "auc": None, "calibration": [{"count": 9.0}]}
    whole = replace(version(0), metrics=heavy)
    later = [replace(version(n), parent=f"1.{n - 1}", offset=10 + n, metrics=heavy) for n in (1, 2)]
    producer, topic = LogProducer(broker.bootstrap), ProjectTopics(project).models
    orphan = replace(later[0], name="base").encode_shortly(replace(whole, name="base"))
    for value in (orphan, whole.encode(), *(one.encode_shortly(whole) for one in later)):
        producer.send(topic, 0, None, value)
    producer.flush_blocking()
    assert read_versions(broker.bootstrap, project) == [whole, *(one.shortened() for one in later)]
    assert later[0].shortened().metrics == {"count": 9, "auc": None}
    assert read_versions(broker.bootstrap, project, "base") == []


def test_of_one_learner_only_its_versions_are_read(broker: MockKafka, project: str) -> None:
    producer, topic = LogProducer(broker.bootstrap), ProjectTopics(project).models
    for each in (version(1), version(2, "base"), version(3)):
        producer.send(topic, 0, each.name.encode(), each.encode())
    producer.flush_blocking()
    assert [one.minor for one in read_versions(broker.bootstrap, project, "tree")] == [1, 3]
