"""What a backfill has done so far: the state of a partition or shard, in a file that a later run takes up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.featurestore.offline.feature_log import write_durably
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import StateError
from headrace.streams.state.partition import Entry, Shard, SourcePartition

FILE = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="finish the backfill with that version, or remove the folder",
)


@dataclass(frozen=True)
class Span:
    """Which rows are wanted: event time in ``[from_ms, to_ms)``; None has no end."""

    from_ms: int | None = None
    to_ms: int | None = None

    def has(self, time_ms: int) -> bool:
        return (self.from_ms is None or time_ms >= self.from_ms) and (
            self.to_ms is None or time_ms < self.to_ms
        )


class BackfillState:
    """The changelog of a state machine, compacted, in one file.

    Parameters
    ----------
    file
        Taken up when it is there.
    state
        The partition or shard.
    span
        Of the backfill.

    Raises
    ------
    StateError
        When the file is of a backfill of another span, or has a version that is not read.
    """

    def __init__(self, file: Path, state: SourcePartition | Shard, span: Span) -> None:
        self._file, self._state, self._span = file, state, span
        self._entries: dict[bytes, bytes | None] = {}
        if file.exists():
            self._take_up()

    def entries(self) -> list[Entry]:
        """The state as changelog records, the position last: it says that the others are there."""
        return position_last(self._entries)

    def save(self) -> None:
        """Make the state durable."""
        for key, value in self._state.snapshot():
            self._entries.pop(key, None)
            if value is not None:
                self._entries[key] = value
        self._file.parent.mkdir(parents=True, exist_ok=True)
        columns = {"key": [*self._entries], "value": [*self._entries.values()]}
        table = pa.table({name: pa.array(values, pa.large_binary()) for name, values in columns.items()})
        write_durably(
            self._file, table.replace_schema_metadata(FILE.metadata() | {"span": _text(self._span)})
        )

    def _take_up(self) -> None:
        table = pq.read_table(self._file)
        metadata = table.schema.metadata or {}
        FILE.check_metadata(metadata, f"the state of a backfill in {self._file}")
        span = metadata.get(b"span", b"").decode()
        if span != _text(self._span):
            raise StateError(
                f"{self._file.parent} holds a backfill of another span ({span}); finish that, or remove "
                "the folder"
            )
        self._entries = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
        self._state.restore(self._entries.items())


def position_last(entries: Mapping[bytes, bytes | None]) -> list[Entry]:
    """Entries of a state in the order they are to be written in."""
    return sorted(entries.items(), key=lambda entry: entry[0].startswith(b"p|"))


def _text(span: Span) -> str:
    return json.dumps([span.from_ms, span.to_ms])
