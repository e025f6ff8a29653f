"""The state of a backfill goes on in another run, of the same span alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.state import BackfillState, position_last
from headrace.schemas.errors import StateError
from headrace.streams.log.records import LogRecords
from headrace.streams.state.source_partition import SourcePartition
from tests.support.backfill_logs import direct_plan, past, purchase

PLAN = direct_plan()


def partition() -> SourcePartition:
    return SourcePartition(PLAN, PLAN.sources[0], 0)


def test_another_run_has_the_state_and_its_changelog(tmp_path: Path) -> None:
    file, state = tmp_path / "work" / "s.parquet", partition()
    saved = BackfillState(file, state, Span(5, None))
    for first in (0, 6):
        state.process(LogRecords.of(past([purchase(first + n, 1000 + 10 * n, n % 3) for n in range(6)])))
        saved.save()
    again = partition()
    restored = BackfillState(file, again, Span(5, None))
    assert again.next_offset == 12
    assert restored.entries() == saved.entries()
    assert restored.entries()[-1][0].startswith(b"p|")
    assert len(restored.entries()) == len(dict(restored.entries())) > 3  # a key is in it once


def test_a_backfill_of_another_span_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.parquet"
    BackfillState(file, partition(), Span(5, None)).save()
    with pytest.raises(StateError, match=r"another span \(\[5, null\]\); finish that, or remove the folder"):
        BackfillState(file, partition(), Span(5, 6))


@given(st.dictionaries(st.sampled_from([b"k|a", b"k|b", b"p|x", b"z|c"]), st.binary(max_size=3)))
def test_the_position_is_last(entries: dict[bytes, bytes]) -> None:
    ordered = position_last(entries)
    assert dict(ordered) == entries
    assert [key for key, _ in ordered[:-1] if key.startswith(b"p|")] == []
