"""Backfill of views with udfs and behind the shuffle: what the oracle says, at every row and after it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.audit.log_prefixes import block_offsets
from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.shard import ShardBackfill
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.state import position_last
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.schemas.errors import PlanError, StateError
from headrace.schemas.plan import Plan
from headrace.streams.columnar.keys import encode_key
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.records import LogRecord
from headrace.streams.state.fingerprint import definition_of
from headrace.streams.state.shuffle import Block, encode_block
from tests.support.backfill_logs import logged, past, purchase
from tests.support.expected_rows import NO_UDFS, assert_rows_equal, expected_rows, rules_of
from tests.support.properties import tries
from tests.support.purchase_udfs import ROWS, transforms, udf_plan
from tests.support.purchases import purchases_plan
from tests.support.random_logs import logs, split_users
from tests.support.stream_driver import StreamDriver
from tests.support.window_oracle import OracleEvent, RowUdf, judge

UDFS = udf_plan()
TRANSFORMS = transforms(UDFS)
PLAIN = purchases_plan()
KINDS = {"plain": (PLAIN, NO_UDFS), "udfs": (UDFS, ROWS)}
kinds = st.sampled_from([*KINDS])


def given_to(plan: Plan) -> dict:
    return TRANSFORMS if plan is UDFS else {}


def run(
    plan: Plan, view: str, partitions: list[list[LogRecord]], folder: Path, chunk: int, most: int = 10**9
) -> tuple[list[PartitionBackfill], list[ShardBackfill]]:
    """One run over these records; each of its parts is broken off after `most` chunks."""
    where = (folder / "log", folder / "work" / view, Span())
    ones = [PartitionBackfill(plan, view, p, *where, given_to(plan)) for p in range(len(partitions))]
    for one, log in zip(ones, partitions, strict=True):
        left = one.run([record for record in log if record.offset >= one.position], chunk)
        for _ in zip(range(most), left, strict=False):
            pass
    numbers = [*range(len(partitions))]
    shards = [ShardBackfill(plan, view, s, numbers, *where) for s in range(plan.sources[0].shards)]
    for shard in shards:
        for _ in zip(range(most), shard.run(chunk), strict=False):
            pass
    return ones, shards


@tries(6)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), kind=kinds, chunk=st.integers(2, 20))
def test_every_row_is_what_the_oracle_says_of_the_blocks_before_it(partitions, kind, chunk):
    split_users(partitions)
    plan, udfs = KINDS[kind]
    with tempfile.TemporaryDirectory() as name:
        for view in ("by_shop", "by_both"):
            _, shards = run(plan, view, [past(log) for log in partitions], Path(name), chunk)
            blocks = {shard.shard: [one.block for one in shard.blocks()] for shard in shards}
            found = set()
            for row in logged(Path(name) / "log", plan, view):
                key = tuple(row[k.name] for k in plan.stream_view(view).join_keys)
                found.add(key)
                (shard,) = {n for n in blocks if shard_of(plan, view, key) == n}
                prefix = prefixes(plan, blocks[shard][: row["_offset"]], partitions)
                assert_row_is_right(plan, udfs, prefix, (view, key), row)
            every = expected_rows(plan, [judge(log, rules_of(plan, udfs)) for log in partitions], udfs)
            assert {key for owner, key in every if owner == view} == found


def shard_of(plan: Plan, view: str, key: tuple) -> int:
    raw = tuple(part.encode() if isinstance(part, str) else part for part in key)
    return partition_for(encode_key(raw), plan.sources[0].shards)


def prefixes(plan: Plan, blocks: list[bytes], partitions: list[list[OracleEvent]]) -> list[list[OracleEvent]]:
    """How far the partitions had come."""
    ends = dict.fromkeys(range(len(partitions)), 0)
    for raw in blocks:
        block = block_offsets(0, 0, raw, definition_of(plan, plan.sources[0]))
        ends[block.partition] = block.next_offset
    return [log[: ends[number]] for number, log in enumerate(partitions)]


def assert_row_is_right(
    plan: Plan, udfs: Mapping[str, RowUdf], logs: list[list[OracleEvent]], at: tuple[str, tuple], row: dict
) -> None:
    want = expected_rows(plan, [judge(log, rules_of(plan, udfs)) for log in logs], udfs).get(at, {})
    assert_rows_equal({at: {name: row[name] for name in want}} if want else {}, {at: want} if want else {})


@tries(12)
@given(
    partitions=st.lists(logs(), min_size=1, max_size=3),
    kind=kinds,
    stops=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 3)), max_size=2),
    hand_over=st.integers(0, 25),
    chunk=st.integers(2, 20),
    before=st.integers(0, 2),
    lost=st.booleans(),
)
def test_interrupted_runs_and_hand_over_leave_what_the_oracle_says(
    partitions, kind, stops, hand_over, chunk, before, lost
):
    """The topic of the shuffle may hold blocks of another definition; and its changelog may get lost."""
    split_users(partitions)
    plan, udfs = KINDS[kind]
    records = [past(log) for log in partitions]
    driver = StreamDriver(plan, plan.sources[0], records, given_to(plan))
    other = encode_block(Block("other", 0, 0, 99, 10**9, {}))
    with tempfile.TemporaryDirectory() as name:
        ParquetFeatureLog(Path(name) / "log", plan)
        for stop, most in stops:
            run(plan, "by_shop", [log[: min(stop, hand_over)] for log in records], Path(name), chunk, most)
        ones, shards = run(plan, "by_shop", [log[:hand_over] for log in records], Path(name), chunk)
        for reader, shard in zip(driver.shards, shards, strict=True):
            blocks = [other] * before + [one.block for one in shard.blocks()]
            reader.log += [LogRecord(n, 0, None, block) for n, block in enumerate(blocks)]
            shard.state.move(len(blocks))
            moved = position_last(dict(shard.entries()) | dict(shard.state.snapshot()))
            reader.changelog = [] if lost else moved
            reader.crash()
            assert lost or reader.state.next_offset == len(blocks)
    for reader, one in zip(driver.partitions, ones, strict=True):
        reader.changelog = one.entries()
        reader.crash()
    for reader in [*driver.partitions, *driver.shards]:  # as `rebuild` does
        for group in reader.state.groups.values():
            for rows in group.emit_all(reader.state.partition, reader.state.next_offset):
                driver.store(rows)
    driver.drain(chunk)
    judged = [judge(log, rules_of(plan, udfs)) for log in partitions]
    assert_rows_equal(driver.online, expected_rows(plan, judged, udfs))
    assert [reader.state.record_counts for reader in driver.partitions] == [one.counts for one in judged]


def test_only_rows_of_the_span_are_written_behind_the_shuffle(tmp_path: Path) -> None:
    plan = purchases_plan(shards=1)
    where = (tmp_path / "log", tmp_path / "work", Span(1030, 1060))
    one = PartitionBackfill(plan, "by_shop", 0, *where)
    [*one.run(past([purchase(n, 1000 + 20 * n) for n in range(6)]))]
    assert [*ShardBackfill(plan, "by_shop", 0, [0], *where).run()]
    times = [row["event_timestamp"].timestamp() * 1000 for row in logged(tmp_path / "log", plan, "by_shop")]
    assert times == pytest.approx([1040])
    with pytest.raises(StateError, match="another span"):
        ShardBackfill(plan, "by_shop", 0, [0], tmp_path / "log", tmp_path / "work", Span())


def test_a_udf_that_is_not_given_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="'by_user' has a udf and this process was given none"):
        PartitionBackfill(UDFS, "by_both", 0, tmp_path, tmp_path, Span())
