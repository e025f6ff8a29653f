"""Rows of Parquet tables: one reader for materialisation, training sets and Feast's offline store.

Which row of a key is the latest is decided here too, for all of them: the one with the greatest event time;
of those the one with the greatest created time, where a row without any comes before all others; of those
the one that stands last in the table. Feast says the same where it says anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from headrace.schemas.errors import HeadraceError
from headrace.schemas.name_hint import name_hint

ROW = "_row"
"""Column of the number of each row in its table."""

LATEST_FIRST = f"created DESC NULLS LAST, {ROW} DESC"
"""Order of SQL among rows with one key and event time, in columns `created` and `ROW`."""

_SUFFIXES = (".parquet", ".parq", ".pq")
_HIDDEN = ("_", ".")
_ROWS_AT_ONCE = 131_072


class TableRows:
    """Reads columns of Parquet files, in the order of the files.

    A folder of the form ``name=value`` above a file is a column of it, as Hive writes them; a file without a
    column that others have has nulls there. Names are told apart by case.

    Parameters
    ----------
    name
        Of the view, for errors.
    files
        Lists the files. It is called at every reading, as files come and go.
    root
        The folder that the files are in.
    """

    def __init__(self, name: str, files: Callable[[], Sequence[Path]], root: Path) -> None:
        self._name, self._files, self._root = name, files, root

    def columns(self) -> pa.Schema:
        """Return the names and types of all columns.

        Raises
        ------
        HeadraceError
            When a file has another type for a column than the others.
        FileNotFoundError
            When a file has gone since it was listed.
        """
        return self._dataset().schema

    def batches(self, columns: Mapping[str, str]) -> pa.RecordBatchReader:
        """Read columns under other names, and `ROW`.

        Parameters
        ----------
        columns
            Column by the name that it becomes.

        Raises
        ------
        HeadraceError
            When there is no such column.
        FileNotFoundError
            When a file has gone since it was listed; also while the batches are read.
        """
        dataset = self._dataset()
        for column in columns.values():
            if column not in dataset.schema.names:
                raise HeadraceError(
                    f"the table of view '{self._name}' has no column '{column}'; "
                    f"{name_hint(column, dataset.schema.names)}"
                )
        read = {name: _readable(dataset.schema, column) for name, column in columns.items()}
        scanner = dataset.scanner(columns=read, batch_size=_ROWS_AT_ONCE)
        schema = scanner.projected_schema.append(pa.field(ROW, pa.int64()))
        return pa.RecordBatchReader.from_batches(schema, _numbered(scanner.to_batches(), schema))

    def _dataset(self) -> ds.Dataset:
        files = [str(file) for file in self._files()]
        dataset = ds.dataset(files, format="parquet", partitioning="hive", partition_base_dir=str(self._root))
        fragments = [*dataset.get_fragments()]
        try:
            schema = pa.unify_schemas(
                [fragment.physical_schema for fragment in fragments], promote_options="permissive"
            )
        except pa.ArrowException as error:
            raise HeadraceError(
                f"the files of view '{self._name}' do not fit together: {error}; write them with one schema"
            ) from error
        folders = [field for field in dataset.schema if field.name not in schema.names]
        return ds.FileSystemDataset(
            fragments, pa.schema([*schema, *folders]), dataset.format, dataset.filesystem
        )


def parquet_files(path: Path) -> list[Path]:
    """List the Parquet files of a table: the file itself, or those in a folder, in natural order.

    Files and folders whose names begin with a dot or an underscore are not of the table.
    """
    if not path.is_dir():
        return [path]
    files = (
        file
        for file in path.rglob("*")
        if file.suffix in _SUFFIXES
        and not any(part.startswith(_HIDDEN) for part in file.relative_to(path).parts)
    )
    return sorted(files, key=_natural_order)


def _natural_order(file: Path) -> list[str | int]:
    """Order part-2 before part-10."""
    parts = re.split(r"([0-9]+)", str(file))
    return [int(part) if n % 2 else part for n, part in enumerate(parts)]


def _readable(schema: pa.Schema, column: str) -> ds.Expression:
    """Return a column as every engine reads it: DuckDB has no floating numbers of 16 bits."""
    field = ds.field(column)
    return field.cast(pa.float32()) if pa.types.is_float16(schema.field(column).type) else field


def _numbered(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    first = 0
    for batch in batches:
        numbers = pa.array(np.arange(first, first + len(batch)))
        first += len(batch)
        yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
