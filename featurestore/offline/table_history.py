"""Tables of batch views as histories for point-in-time joins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.featurestore.offline.point_in_time import History
from headrace.featurestore.tables.file_source import source_rows, table_columns


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
    columns = table_columns(source)
    created = source.created_timestamp_column
    return History(
        name=name,
        rows=source_rows(name, source, repo_path),
        join_keys={asked: columns.get(key, key) for asked, key in join_keys.items()},
        features={output: columns.get(feature, feature) for output, feature in features.items()},
        timestamp=columns.get(source.timestamp_field, source.timestamp_field),
        created=columns.get(created, created) or None,
        ttl_ms=ttl_ms,
    )
