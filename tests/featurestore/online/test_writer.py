"""The online sink: what is stored, in which order, and what it does while Redis is away."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis

from headrace.deploy.local.redis_server import RedisServer
from headrace.featurestore.online import writer as online_writer
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.decoder import Provenance
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.feature_specs import AggregationSpec, BatchViewSpec, FieldSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.columnar.lists import Lists
from headrace.streams.connections.redis_updates import COUNT_ONCE, HashUpdate
from headrace.streams.progress import TWO_PARTITIONS, TWO_PARTITIONS_REMEDY, alarms_key
from headrace.streams.sinks import OnlineRows
from tests.support.redis_stand_in import RedisStandIn


def plan_of(project: str) -> Plan:
    aggregation = AggregationSpec(
        feature="n", function="count", column="x", window_ms=1000, hop_ms=1000, dtype="Int64"
    )
    key = FieldSpec(name="k", dtype="Int64")
    view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=(aggregation,))
    return Plan(project=project, stream_views=(view,))


def counts(keys: range, value: int, offset: int = 5) -> OnlineRows:
    column = np.full(len(keys), value), np.ones(len(keys), np.bool_)
    return OnlineRows("v", (np.array(keys),), (column,), 2, offset, 1_700_000_000_123)


def update(project: str, offset: int, **fields: str) -> HashUpdate:
    return HashUpdate(f"{project}:progress", "log", offset, fields)


async def test_rows_are_stored_with_their_provenance_and_the_hashes_beside_them(
    redis_url: str, project: str
) -> None:
    sink = RedisOnlineSink(redis_url, plan_of(project))
    await sink.write([counts(range(-2, 3), 7)], [update(project, 5, a="1", b="é")])
    await sink.close()
    with FeatureClient(plan_of(project), redis_url) as client:
        found = client.get_online_features(["v:n"], {"k": [-2, 2, 3]})
    assert found.columns == {"v__n": [7, 7, None]}
    assert found.provenance == {"v": [Provenance(2, 5, 1_700_000_000_123)] * 2 + [None]}
    with redis.Redis.from_url(redis_url) as connection:
        stored = connection.hgetall(f"{project}:progress")
        assert (stored[b"a"], stored[b"b"]) == (b"1", "é".encode())


async def test_more_rows_than_one_pipeline_holds_are_all_stored_in_order(
    redis_url: str, project: str
) -> None:
    sink = RedisOnlineSink(redis_url, plan_of(project))
    await sink.write([counts(range(2500), 1), counts(range(1200, 1300), 2), counts(range(5), 3)], [])
    await sink.close()
    with FeatureClient(plan_of(project), redis_url) as client:
        found = client.get_online_features(["v:n"], {"k": list(range(2500))}).columns["v__n"]
    assert found == [3] * 5 + [1] * 1195 + [2] * 100 + [1] * 1200


@pytest.mark.parametrize(("packed", "sent"), [(7, 20), (20, 7), (1, 1)])
async def test_whatever_is_packed_and_sent_at_once_the_same_is_stored(
    redis_url: str, project: str, monkeypatch: pytest.MonkeyPatch, packed: int, sent: int
) -> None:
    monkeypatch.setattr(online_writer, "_CHUNK_ROWS", packed)
    monkeypatch.setattr(online_writer, "_SENT_ROWS", sent)
    sink = RedisOnlineSink(redis_url, plan_of(project))
    await sink.write([counts(range(100), 1), counts(range(50, 53), 2), counts(range(60), 3)], [])
    await sink.close()
    with FeatureClient(plan_of(project), redis_url) as client:
        found = client.get_online_features(["v:n"], {"k": list(range(100))}).columns["v__n"]
    assert found == [3] * 60 + [1] * 40


async def test_a_row_that_is_refused_behind_many_others_is_told_of(
    redis_url: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_writer, "_CHUNK_ROWS", 10)
    sink = RedisOnlineSink(redis_url, plan_of(project))
    await sink.write([counts(range(73, 74), 1)], [])
    with redis.Redis.from_url(redis_url) as connection:
        (key,) = connection.scan_iter(f"*{project}", count=10_000)
        connection.delete(key)
        connection.set(key, "no hash")
    with pytest.raises(ServiceUnavailable, match="WRONGTYPE"):
        await sink.write([counts(range(100), 1)], [update(project, 5, a="1")])
    with redis.Redis.from_url(redis_url) as connection:
        assert not connection.exists(f"{project}:progress"), "progress speaks of rows that are stored"
        connection.delete(key)
    await sink.write([counts(range(100), 4)], [])
    await sink.close()
    with FeatureClient(plan_of(project), redis_url) as client:
        assert client.get_online_features(["v:n"], {"k": [0, 73, 99]}).columns == {"v__n": [4, 4, 4]}


async def test_a_key_in_two_partitions_is_counted_and_logged_once(
    redis_url: str, project: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = RedisOnlineSink(redis_url, plan_of(project))
    await sink.write([counts(range(5), 1)], [])
    for partition in (1, 0):
        await sink.write([replace(counts(range(2, 4), 2), partition=partition)], [])
    await sink.close()
    assert alarms(redis_url, project) == {f"{TWO_PARTITIONS}|s".encode(): b"4"}
    assert sink.two_partitions == {"s": 4}
    assert [record.message for record in caplog.records if "in two partitions" in record.message] == [
        f"source 's': one key is in two partitions, and its rows replace each other. {TWO_PARTITIONS_REMEDY}"
    ]


async def test_a_batch_view_that_is_written_meanwhile_raises_no_alarm(redis_url: str, project: str) -> None:
    """The reply to a row with three new fields is the number that stands for another partition."""
    key = FieldSpec(name="k", dtype="Int64")
    features = tuple(FieldSpec(name=name, dtype="Int64") for name in ("a", "b"))
    batch = BatchViewSpec(name="batch", join_keys=(key,), features=features)
    sink = RedisOnlineSink(redis_url, plan_of(project).model_copy(update={"batch_views": (batch,)}))
    column = np.arange(50), np.ones(50, np.bool_)
    await asyncio.gather(
        sink.write_batch_view("batch", [np.arange(50)], [column, column], np.zeros(50, np.int64)),
        sink.write([counts(range(5), 1)], []),
        sink.write_batch_view("batch", [np.arange(50, 100)], [column, column], np.zeros(50, np.int64)),
    )
    await sink.close()
    assert alarms(redis_url, project) == {}


def alarms(redis_url: str, project: str) -> Any:
    with redis.Redis.from_url(redis_url) as connection:
        found = connection.hgetall(alarms_key(project))
    return {name: number for name, number in found.items() if not name.startswith(b"@")}


def test_a_count_that_is_sent_again_is_counted_once(redis_url: str, project: str) -> None:
    sent = [("me", 1, 4), ("me", 1, 4), ("other", 1, 5), ("me", 1, 4), ("me", 2, 6), ("me", 2, 6)]
    with redis.Redis.from_url(redis_url) as connection:
        for process, batch, number in sent:
            arguments = [f"@{process}", str(batch), "f", str(number)]
            connection.eval(COUNT_ONCE.text, 1, alarms_key(project), *arguments)
    assert alarms(redis_url, project) == {b"f": b"15"}


async def test_a_correction_at_the_same_time_replaces_the_row(redis_url: str, project: str) -> None:
    sink = RedisOnlineSink(redis_url, plan_of(project))
    await sink.write([counts(range(1), 1)], [])
    await sink.write([counts(range(1), 2, offset=6)], [])
    await sink.close()
    with FeatureClient(plan_of(project), redis_url) as client:
        found = client.get_online_features(["v:n"], [{"k": 0}])
    assert found.columns == {"v__n": [2]}
    assert found.provenance["v"][0] == Provenance(2, 6, 1_700_000_000_123)


class Complaint(logging.Handler):
    """Tells when the sink has logged something."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.set()


@pytest.fixture
def complaint() -> Iterator[Complaint]:
    handler = Complaint()
    logging.getLogger("headrace.featurestore.online.writer").addHandler(handler)
    yield handler
    logging.getLogger("headrace.featurestore.online.writer").removeHandler(handler)


@pytest.mark.usefixtures("servers")
async def test_writes_wait_for_redis_and_say_so_once(
    project: str, complaint: Complaint, caplog: pytest.LogCaptureFixture
) -> None:
    """The server comes up only after the sink has complained; nobody waits for a guess of time."""
    server, plan = RedisServer(), plan_of(project)
    sink = RedisOnlineSink(server.url, plan)
    writing = asyncio.create_task(sink.write([counts(range(3), 9)], []))
    await complaint.heard.wait()
    assert not writing.done()
    with server:
        await writing
        with FeatureClient(plan, server.url) as client:
            assert client.get_online_features(["v:n"], {"k": [0, 1, 2]}).columns == {"v__n": [9, 9, 9]}
        await sink.close()
    assert [record.message.split("(")[0].strip() for record in caplog.records] == [
        "Redis cannot take online rows",
        "Redis takes online rows again",
    ]


async def test_a_server_that_does_not_answer_is_away_and_is_written_to_when_it_does(
    project: str, complaint: Complaint
) -> None:
    answers = threading.Event()
    with RedisStandIn(lambda words: b":1\r\n" if answers.is_set() else b"") as server:
        sink = RedisOnlineSink(f"{server.url}?socket_timeout=0.05", plan_of(project))
        writing = asyncio.create_task(sink.write([counts(range(3), 9)], []))
        await complaint.heard.wait()
        assert sink.waiting
        assert not [words for words in server.commands if words[0] == b"EVALSHA"]
        answers.set()
        await writing
        assert not sink.waiting
        await sink.close()
    written = [words for words in server.commands if words[0] == b"EVALSHA"]
    assert len({words[3] for words in written}) == 3


async def test_a_server_that_drops_its_connections_loses_nothing(redis_url: str, project: str) -> None:
    sink = RedisOnlineSink(f"{redis_url}?client_name={project}", plan_of(project))
    await sink.write([counts(range(2), 1)], [])
    with redis.Redis.from_url(redis_url) as connection:
        (own,) = [c for c in connection.client_list() if c["name"] == project]
        connection.client_kill_filter(_id=own["id"])
    await sink.write([counts(range(2), 2)], [])
    await sink.close()
    with FeatureClient(plan_of(project), redis_url) as client:
        assert client.get_online_features(["v:n"], {"k": [0, 1]}).columns == {"v__n": [2, 2]}


async def test_what_redis_refuses_for_good_is_raised(redis_url: str, project: str) -> None:
    key = layout.key_prefix(["k"]) + b"\x04\0\0\0\x08\0\0\0" + bytes(8) + project.encode()
    with redis.Redis.from_url(redis_url) as connection:
        connection.set(key, "not a hash")
    sink = RedisOnlineSink(redis_url, plan_of(project))
    with pytest.raises(ServiceUnavailable, match="WRONGTYPE"):
        await sink.write([counts(range(3), 1)], [update(project, 5, a="1")])
    await sink.close()
    with redis.Redis.from_url(redis_url) as connection:
        assert not connection.exists(f"{project}:progress")  # what was not stored is not spoken of


async def test_lists_are_stored_across_the_borders_of_chunks(redis_url: str, project: str) -> None:
    key = FieldSpec(name="k", dtype="Int64")
    specs = {"last_3": "Array(Int64)", "last_2": "Array(String)"}
    aggregations = tuple(
        AggregationSpec(feature=name, function=name, column="x", window_ms=1000, hop_ms=1000, dtype=dtype)
        for name, dtype in specs.items()
    )
    view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=aggregations)
    plan = Plan(project=project, stream_views=(view,))
    lengths = np.arange(2300) % 4
    numbers = Lists(np.arange(lengths.sum()) - 1000, lengths)
    shorter = np.minimum(lengths, 2)
    texts = Lists(np.array([b"%d" % (n % 13) for n in range(shorter.sum())]), shorter)
    rows = OnlineRows("v", (np.arange(2300),), ((numbers, lengths > 0), (texts, shorter > 0)), 0, 9, 1)
    sink = RedisOnlineSink(redis_url, plan)
    await sink.write([rows], [])
    await sink.close()
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(["v:last_3", "v:last_2"], {"k": list(range(2300))}).columns
    assert found["v__last_3"] == [one or None for one in numbers.tolist()]
    assert found["v__last_2"] == [[text.decode() for text in one] or None for one in texts.tolist()]
