"""The state of a partition or shard in a backfill, in a file that a later run goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.featurestore.backfill.span import Span
from headrace.featurestore.offline.parquet_files import write_durably
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import StateError
from headrace.streams.state.partition import Entry, PartitionState

FILE = Encoding(
    version=2,  # of the keys in it; the file itself is that of version 1
    older=(UNVERSIONED, 1),
    remedy="finish the backfill with that version, or remove the folder",
)


class BackfillState:
    """The changelog of a state machine, compacted, in one file.

    Parameters
    ----------
    file
        Restored into `state` when it exists.
    state
        The partition or shard, still empty.
    span
        Of the backfill.

    Raises
    ------
    StateError
        When the file is of a backfill of another span, is damaged, or has a version that is not read.
    """

    def __init__(self, file: Path, state: PartitionState, span: Span) -> None:
        self._file, self._state, self._span = file, state, span
        self._entries: dict[bytes, bytes | None] = {}
        if file.exists():
            self._restore()

    def entries(self) -> list[Entry]:
        """The state as changelog records. The position is last: it says that the others are there."""
        return position_last(self._entries)

    def save(self) -> None:
        """Make durable what has changed since the last time."""
        for key, value in self._state.snapshot():
            self._entries.pop(key, None)
            if value is not None:
                self._entries[key] = value
        columns = {"key": [*self._entries], "value": [*self._entries.values()]}
        table = pa.table({name: pa.array(values, pa.large_binary()) for name, values in columns.items()})
        write_durably(self._file, table.replace_schema_metadata(FILE.metadata() | {"span": self._span.text}))

    def _restore(self) -> None:
        what = f"the state of a backfill in {self._file}"
        with FILE.reading(what):
            table = pq.ParquetFile(self._file).read()
        metadata = table.schema.metadata or {}
        FILE.check_metadata(metadata, what)
        span = metadata.get(b"span", b"").decode()
        if span != self._span.text:
            raise StateError(
                f"{self._file.parent} holds a backfill of another span ({span}); finish that, or remove "
                "the folder"
            )
        with FILE.reading(what):
            self._entries = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
        self._state.restore(self._entries.items())


def position_last(entries: Mapping[bytes, bytes | None]) -> list[Entry]:
    """Order the entries of a state as they are to be written.

    >>> position_last({b"p|1f": b"{}", b"k|UA": b"..."})
    [(b'k|UA', b'...'), (b'p|1f', b'{}')]
    """
    return sorted(entries.items(), key=lambda entry: entry[0].startswith(b"p|"))
