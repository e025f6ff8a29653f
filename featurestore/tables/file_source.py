"""Tables of Feast's sources that are in files of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feast import FileSource
from feast.data_format import ParquetFormat

from headrace.featurestore.tables.table_rows import TableRows, parquet_files
from headrace.schemas.errors import HeadraceError


def is_local(source: Any) -> bool:
    """Whether a Feast source is Parquet in files of this machine."""
    return (
        isinstance(source, FileSource)
        and "://" not in source.path
        and (source.file_format is None or isinstance(source.file_format, ParquetFormat))
    )


def source_path(source: Any, repo_path: Path) -> Path:
    """Return the file or folder of a source whose table is local."""
    return Path(FileSource.get_uri_for_file_path(repo_path, source.path))


def source_rows(view: str, source: Any, repo_path: Path) -> TableRows:
    """Return the reader of the table of a view.

    Parameters
    ----------
    view
        Name of the view, for errors.
    source
        Feast's object.
    repo_path
        The repository, which the path of the source is relative to.

    Raises
    ------
    HeadraceError
        When the table is not in Parquet files of this machine; and, when it is read, there is no file.
    """
    if not is_local(source):
        raise HeadraceError(
            f"source '{source.name}' is not in Parquet files of this machine; use the offline store that "
            "Feast has for it"
        )
    path = source_path(source, repo_path)

    def files() -> Sequence[Path]:
        found = parquet_files(path)
        if not found:
            raise HeadraceError(
                f"view '{view}' has no rows: there is no Parquet file in {path}; see the path of its source"
            )
        return found

    return TableRows(view, files, path if path.is_dir() else path.parent)


def table_columns(source: Any) -> dict[str, str]:
    """Columns of a table by the names that Feast gives them, where a source maps names."""
    return {name: column for column, name in (source.field_mapping or {}).items()}
