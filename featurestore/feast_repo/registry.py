"""Feast's registry: a copy to rehearse on, and the way back from a change."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.feature_store import FeatureStore
from feast.infra.registry.file import FileRegistryStore
from feast.infra.registry.registry import FEAST_OBJECT_TYPES, FeastObjectType
from feast.infra.registry.registry import Registry as DocumentRegistry
from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
from feast.repo_config import RegistryConfig
from feast.utils import _utc_now

from headrace.streams.durable_files import write_atomically

_TABLES = ("sql", "snowflake.registry", "remote")  # kinds that write each object by itself
_MADE = ("_registry", "_online_store", "_batch_engine", "_openlineage", "_mlflow")
_FLAGS = ("enable_online_feature_view_versioning",)


def with_registry_in(config: Any, file: Path | None) -> Any:
    """Return a configuration whose registry, where it is a file of this machine, is `file` if given."""
    if file is None or _file_of(config) is None:
        return config
    return _changed(config, {"registry_config": config.registry.model_copy(update={"path": str(file)})})


def without_online_store(config: Any) -> Any:
    """Return a configuration by which Feast's `apply` does nothing to an online store."""
    return _changed(config, {"online_config": None})


def rehearsal_config(config: Any, file: Path) -> Any:
    """Return a configuration whose registry is a copy in a file, and that reports to nobody.

    Raises
    ------
    OSError
        When the registry cannot be read; of another kind of registry whatever it raises.
    """
    current = _current(config)
    current.version_id = str(uuid.uuid4())  # Feast's caches go by it
    write_atomically(file, current.SerializeToString())
    flags = {name: getattr(config.registry, name) for name in _FLAGS}
    return _changed(
        config,
        {
            "registry_config": RegistryConfig(path=str(file), **flags),
            "provider": "local",
            "batch_engine_config": "local",
            "openlineage_config": None,
            "mlflow_config": None,
        },
    )


def _changed(config: Any, changes: Mapping[str, Any]) -> Any:
    """Copy a configuration of Feast without the parts that it has made of itself."""
    changed = config.model_copy()
    for name, value in {**changes, **dict.fromkeys(_MADE)}.items():
        setattr(changed, name, value)
    return changed


class Registry:
    """The registry of a configuration. A file is replaced as a whole, so that readers see all or nothing.

    Parameters
    ----------
    config
        Feast's `RepoConfig`.

    Attributes
    ----------
    store
        Feast's `FeatureStore` on the registry.
    """

    def __init__(self, config: Any) -> None:
        self._file, self._project = _file_of(config), str(config.project)
        self._bytes = self._file.read_bytes() if self._file is not None and self._file.exists() else None
        self.store = _Store(config=config)
        if self._file is not None:
            registry: Any = self.store.registry
            registry._registry_store = _AtomicFile(config.registry, config.repo_path)

    def content(self) -> Any:
        """Return what `put_back` takes."""
        if self._file is not None:
            return self._bytes
        if isinstance(self.store.registry, DocumentRegistry):
            content = RegistryProto()
            content.CopyFrom(self.store.registry.proto())
            return content
        return FeastObjectType.get_objects_from_registry(self.store.registry, self._project)

    def put_back(self, content: Any) -> None:
        """Make the registry what it was when `content` returned that."""
        if self._file is not None:
            if content is None:
                self._file.unlink(missing_ok=True)
            elif self._file.read_bytes() != content:
                write_atomically(self._file, content)
        elif isinstance(content, RegistryProto):
            registry: Any = self.store.registry
            registry._registry_store.update_registry_proto(content)
        else:
            self._put_back_objects(content)

    def _put_back_objects(self, before: Any) -> None:
        now = FeastObjectType.get_objects_from_registry(self.store.registry, self._project)
        known = {(kind, item.name) for kind in FEAST_OBJECT_TYPES for item in before[kind]}
        added = [i for kind in FEAST_OBJECT_TYPES for i in now[kind] if (kind, i.name) not in known]
        kept = [item for kind in FEAST_OBJECT_TYPES for item in before[kind]]
        self.store.apply(kept, objects_to_delete=added, partial=False)


class _Store(FeatureStore):  # type: ignore[misc]
    """Feast's own reads the registry once more when all is done, and fails where that fails."""

    def refresh_registry(self) -> None:
        pass


class _AtomicFile(FileRegistryStore):  # type: ignore[misc]
    """Feast's own empties the file before it writes it."""

    def _write_registry(self, registry_proto: Any) -> None:
        registry_proto.version_id = str(uuid.uuid4())  # Feast's caches go by it
        registry_proto.last_updated.FromDatetime(_utc_now())
        write_atomically(self._filepath, registry_proto.SerializeToString())


def _current(config: Any) -> Any:
    file = _file_of(config)
    if file is not None and not file.exists():
        return RegistryProto()  # Feast would make it
    if config.registry.registry_type == "sql" and _has_no_tables(config.registry.path):
        return RegistryProto()  # and would make them, to read them
    return FeatureStore(config=config).registry.proto()


def _has_no_tables(path: str) -> bool:
    """Whether there is no registry in a database yet. A database in a file is not made by asking."""
    from sqlalchemy import create_engine, inspect, make_url  # a tenth of a second that few need

    url = make_url(path)
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        if file.parent.is_dir() and not file.exists():
            return True
    engine = create_engine(url)
    try:
        return not inspect(engine).has_table("projects")
    finally:
        engine.dispose()


def _file_of(config: Any) -> Path | None:
    """Return the path of a registry that is a file on this machine."""
    registry = config.registry
    is_other = registry.registry_type in _TABLES or registry.registry_store_type is not None
    if is_other or "://" in registry.path:
        return None
    path = Path(registry.path)
    return path if path.is_absolute() else Path(config.repo_path) / path
