"""Blocks of a backfill's shuffle: kept by partition, taken by shard."""

from __future__ import annotations

from pathlib import Path

from headrace.featurestore.backfill.blocks import BlockFiles, merged_blocks


def test_blocks_of_all_partitions_come_in_the_order_of_their_append_times(tmp_path: Path) -> None:
    for partition, times in enumerate([[5, 3, 9], [4, 8]]):
        files = BlockFiles(tmp_path, "d", partition)
        for first, at_ms in enumerate(times):
            files.write(first, [(at_ms, shard, b"%d" % at_ms) for shard in (0, 1)])
    files.write(1, [(7, 0, b"7")])  # done again after a crash
    assert [(one.partition, one.block) for one in merged_blocks(tmp_path, "d", [0, 1], 0)] == [
        (1, b"4"), (0, b"5"), (0, b"3"), (1, b"7"), (0, b"9"),
    ]  # fmt: skip
    assert [one.block for one in merged_blocks(tmp_path, "d", [1], 1)] == [b"4"]


def test_a_partition_and_a_shard_without_blocks_have_none(tmp_path: Path) -> None:
    BlockFiles(tmp_path, "d", 0).write(0, [])
    assert [*tmp_path.iterdir()] == []
    BlockFiles(tmp_path, "d", 0).write(0, [(5, 0, b"x")])
    assert [*BlockFiles(tmp_path, "d", 0).read(1)] == []
    assert [*BlockFiles(tmp_path, "d", 1).read(0)] == []
    assert [*BlockFiles(tmp_path, "other", 0).read(0)] == []
