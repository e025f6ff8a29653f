"""Feast's offline store for files, with its historical retrieval done in DuckDB.

In ``feature_store.yaml``::

    offline_store:
      type: headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore

Feast's own store for files, `dask`, loses rows that were asked for: those that share their time with another
and its join keys as far as the views joined up to then have them, and those for which a view has only a row
older than its ttl. Here every one comes back, with nulls where there is nothing. All else is Feast's.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FileSource
from feast.infra.offline_stores.dask import DaskOfflineStore, DaskOfflineStoreConfig, DaskRetrievalJob
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.utils import _get_requested_feature_views_to_features_dict

from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.schemas.errors import HeadraceError

_TIME = "event_timestamp"


class DuckDBFileOfflineStoreConfig(DaskOfflineStoreConfig):  # type: ignore[misc]
    """Configuration: the type alone."""

    type: Any = "headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore"


class DuckDBFileOfflineStore(DaskOfflineStore):  # type: ignore[misc]
    """See the module."""

    @staticmethod
    def get_historical_features(
        config: Any,
        feature_views: list[Any],
        feature_refs: list[str],
        entity_df: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        """As `feast.infra.offline_stores.offline_store.OfflineStore` has it."""
        if not isinstance(entity_df, pd.DataFrame) or kwargs.get("filter_by_created_timestamp"):
            return DaskOfflineStore.get_historical_features(
                config,
                feature_views,
                feature_refs,
                entity_df,
                registry,
                project,
                full_feature_names,
                **kwargs,
            )
        if _TIME not in entity_df.columns:
            raise HeadraceError(f"the entities have no column '{_TIME}'; give the time of each row there")
        times = pd.to_datetime(entity_df[_TIME], utc=True)
        span = (times.min(), times.max())
        derived = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        wanted, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, derived)
        histories = [
            _history(view, features, config.repo_path, full_feature_names)
            for view, features in wanted.items()
        ]
        return _Job(
            entity_df.assign(**{_TIME: times}),
            histories,
            full_feature_names,
            config.repo_path,
            derived,
            RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entity_df.columns if name != _TIME],
                min_event_timestamp=span[0],
                max_event_timestamp=span[1],
            ),
        )


class _Job(DaskRetrievalJob):  # type: ignore[misc]
    """A retrieval that is done when its result is asked for."""

    def __init__(
        self,
        asked: pd.DataFrame,
        histories: list[History],
        full_feature_names: bool,
        repo_path: Path,
        on_demand_feature_views: list[Any],
        metadata: RetrievalMetadata,
    ) -> None:
        super().__init__(None, full_feature_names, repo_path, on_demand_feature_views, metadata)
        self._asked, self._histories = asked, histories

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal().to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        asked = pa.Table.from_pandas(self._asked, preserve_index=False)
        return join_as_of(asked, _TIME, self._histories)


def _history(view: Any, features: list[str], repo_path: Path, full: bool) -> History:
    source = view.batch_source
    in_table = {name: own for own, name in source.field_mapping.items()}
    prefix = f"{view.projection.name_to_use()}__" if full else ""
    keys = [column.name for column in view.entity_columns]
    return History(
        name=view.name,
        rows=file_path(source, repo_path),
        join_keys={view.projection.join_key_map.get(key, key): in_table.get(key, key) for key in keys},
        features={prefix + name: in_table.get(name, name) for name in features},
        timestamp=in_table.get(source.timestamp_field, source.timestamp_field),
        created=source.created_timestamp_column or None,
        ttl_ms=(view.ttl or timedelta(0)) // timedelta(milliseconds=1),
    )


def file_path(source: Any, repo_path: Path) -> Path:
    """Where the Parquet of a source is.

    Raises
    ------
    HeadraceError
        When it is not in files of this machine.
    """
    if not isinstance(source, FileSource) or "://" in source.path:
        raise HeadraceError(
            f"source '{source.name}' is not in files of this machine; use the offline store Feast has for it"
        )
    return Path(FileSource.get_uri_for_file_path(repo_path, source.path))
