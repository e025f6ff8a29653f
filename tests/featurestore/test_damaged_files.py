"""Files of Headrace's own that a disk or a hand has damaged are refused by name, never by a traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.shard import ShardBackfill
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.offline.compaction import compact
from headrace.schemas.errors import StateError
from headrace.streams.join.example_archive import read_examples
from tests.support.backfill_logs import past, purchase
from tests.support.damage import ABSURD
from tests.support.purchases import purchases_plan
from tests.support.release_state import FOLDER, file_of

PLAN = purchases_plan(shards=1)
ROUNDS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a backfill of two chunks, so of two parts of the log, has left."""
    records = past([purchase(n, 1000 + n, user=n % 3) for n in range(8)])
    work = PartitionBackfill(PLAN, "by_user", 0, tmp_path / "log", tmp_path / "work", Span())
    assert [*work.run(records, chunk=4)] == [4, 8]
    return tmp_path


def restored(folder: Path) -> None:
    PartitionBackfill(PLAN, "by_user", 0, folder / "log", folder / "work", Span())


def shards(folder: Path) -> None:
    shard = ShardBackfill(PLAN, "by_user", 0, [0], folder / "log", folder / "work", Span())
    for _ in shard.run():
        pass


def compacted(folder: Path) -> None:
    compact(folder / "log", PLAN)


@pytest.mark.parametrize(
    ("pattern", "read"),
    [
        ("work/*-0.parquet", restored),
        ("work/*-blocks-00000-000000000000000.parquet", shards),
        ("log/by_user/*/*-backfill-00000-000000000000000.parquet", compacted),
    ],
)
def test_damage_is_told_by_the_name_of_the_file(
    folder: Path, pattern: str, read: Callable[[Path], None]
) -> None:
    (file,) = folder.glob(pattern)
    whole = file.read_bytes()
    for changed in forms(whole):
        file.write_bytes(changed)
        with pytest.raises(StateError, match=rf"{file.name} is damaged"):
            read(folder)
    file.write_bytes(whole)
    read(folder)


def test_a_damaged_part_of_the_archive_is_told_by_its_name(tmp_path: Path) -> None:
    name, whole = file_of(max(FOLDER.glob("2*.json")), "examples-p0-")
    file = tmp_path / name
    for changed in forms(whole):
        file.write_bytes(changed)
        with pytest.raises(StateError, match=rf"{name} is damaged.*move it and the parts behind it away"):
            read_examples(tmp_path)


def forms(whole: bytes) -> Iterator[bytes]:
    """Cut somewhere, or another program's."""
    yield from ABSURD
    for end in range(0, len(whole), len(whole) // ROUNDS):
        yield whole[:end]
