"""Tables of batch views as histories for point-in-time joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from feast import FileSource

from headrace.featurestore.batch.table import table_columns
from headrace.featurestore.offline.point_in_time import History
from headrace.schemas.errors import HeadraceError


def table_history(
    name: str,
    source: Any,
    repo_path: Path,
    join_keys: Mapping[str, str],
    features: Mapping[str, str],
    ttl_ms: int,
) -> History:
    """Make the history of a view from its Feast source.

    Parameters
    ----------
    name
        Of the view, for errors.
    source
        Feast's object; its field mapping is applied.
    repo_path
        The repository, which the path of the source is relative to.
    join_keys
        Join key of the view by the column of the asked rows that must equal it.
    features
        Feature of the view by the column that it becomes.
    ttl_ms
        Of the view; 0: rows are never too old.

    Raises
    ------
    HeadraceError
        When the table is not in files of this machine; and, when the rows are read, there is no file.
    """
    columns, path = table_columns(source), _parquet_path(source, repo_path)
    return History(
        name=name,
        rows=lambda: _parquet_files(name, path),
        join_keys={asked: columns.get(key, key) for asked, key in join_keys.items()},
        features={output: columns.get(feature, feature) for output, feature in features.items()},
        timestamp=columns.get(source.timestamp_field, source.timestamp_field),
        created=source.created_timestamp_column or None,
        ttl_ms=ttl_ms,
    )


def _parquet_path(source: Any, repo_path: Path) -> Path:
    if not isinstance(source, FileSource) or "://" in source.path:
        raise HeadraceError(
            f"source '{source.name}' is not in files of this machine; use the offline store Feast has for it"
        )
    return Path(FileSource.get_uri_for_file_path(repo_path, source.path))


def _parquet_files(view: str, path: Path) -> Sequence[Path]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise HeadraceError(
            f"view '{view}' has no rows: there is no Parquet file in {path}; see the path of its source"
        )
    return files
