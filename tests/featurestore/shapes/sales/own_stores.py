"""Stores of one's own: tables are read as files are, rows are kept in memory."""

from typing import Any, Literal

from feast.infra.offline_stores.dask import DaskOfflineStore, DaskOfflineStoreConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import FeastConfigBaseModel


class ArchiveOfflineStoreConfig(DaskOfflineStoreConfig):
    type: Literal["own_stores.ArchiveOfflineStore"] = "own_stores.ArchiveOfflineStore"
    archive: str


class ArchiveOfflineStore(DaskOfflineStore):
    """Dask's, by another name."""


class MemoryOnlineStoreConfig(FeastConfigBaseModel):
    type: Literal["own_stores.MemoryOnlineStore"] = "own_stores.MemoryOnlineStore"


class MemoryOnlineStore(OnlineStore):
    """Forgets with the process."""

    def online_write_batch(self, config: Any, table: Any, data: Any, progress: Any) -> None: ...

    def online_read(self, config: Any, table: Any, entity_keys: Any, requested_features: Any = None) -> Any:
        return [(None, None)] * len(entity_keys)

    def update(self, *arguments: Any, **named: Any) -> None: ...

    def teardown(self, *arguments: Any, **named: Any) -> None: ...
