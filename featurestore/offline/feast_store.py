"""Feast's offline store for files, with its historical retrieval done in DuckDB.

In ``feature_store.yaml``::

    offline_store:
      type: headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore

Feast's own store for files, `dask`, loses rows that were asked for: those that share their time with another
row and its join keys (of the views joined up to then), and those for which a view has only a row older than
its TTL. Here every row comes back, with nulls where a view has nothing. All else is Feast's.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.dask import DaskOfflineStore, DaskOfflineStoreConfig, DaskRetrievalJob
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.utils import _get_requested_feature_views_to_features_dict

from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.featurestore.offline.table_history import table_history
from headrace.schemas.errors import HeadraceError

_TIME = "event_timestamp"


class DuckDBFileOfflineStoreConfig(DaskOfflineStoreConfig):  # type: ignore[misc]
    """Configuration: the type alone."""

    type: Any = "headrace.featurestore.offline.feast_store.DuckDBFileOfflineStore"


class DuckDBFileOfflineStore(DaskOfflineStore):  # type: ignore[misc]
    """Feast's `DaskOfflineStore`, with historical retrieval that returns every row asked for."""

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
        """Implement `feast.infra.offline_stores.offline_store.OfflineStore.get_historical_features`.

        Entities that are no DataFrame, and a filter by created time, are left to Feast's own store.
        """
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
            raise HeadraceError(
                f"the entities have no column '{_TIME}' (found: {', '.join(map(str, entity_df.columns))}); "
                "give the time of each row there"
            )
        asked = entity_df.assign(**{_TIME: pd.to_datetime(entity_df[_TIME], utc=True)})
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        stored, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, on_demand)
        histories = [
            _history(view, features, config.repo_path, full_feature_names)
            for view, features in stored.items()
        ]
        return _Job(
            asked, histories, full_feature_names, config.repo_path, on_demand, _metadata(asked, feature_refs)
        )


class _Job(DaskRetrievalJob):  # type: ignore[misc]
    """A retrieval that runs when its result is asked for."""

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


def _history(view: Any, features: list[str], repo_path: Path, full_names: bool) -> History:
    prefix = f"{view.projection.name_to_use()}__" if full_names else ""
    keys = [column.name for column in view.entity_columns]
    return table_history(
        view.name,
        view.batch_source,
        repo_path,
        join_keys={view.projection.join_key_map.get(key, key): key for key in keys},
        features={prefix + name: name for name in features},
        ttl_ms=(view.ttl or timedelta(0)) // timedelta(milliseconds=1),
    )


def _metadata(asked: pd.DataFrame, feature_refs: list[str]) -> RetrievalMetadata:
    return RetrievalMetadata(
        features=feature_refs,
        keys=[name for name in asked.columns if name != _TIME],
        min_event_timestamp=asked[_TIME].min(),
        max_event_timestamp=asked[_TIME].max(),
    )
