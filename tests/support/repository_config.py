"""The ``feature_store.yaml`` of a repository of the tests."""

from __future__ import annotations

_NOWHERE = "127.0.0.1:1"


def repository_config(project: str, connection: str = _NOWHERE, store: str = "dask") -> str:
    """Its text.

    Parameters
    ----------
    connection
        The online store, as Feast writes it; none that runs when not given.
    store
        Type of the offline store.
    """
    return f"""
project: {project}
registry: data/registry.db
provider: local
online_store:
  type: redis
  connection_string: "{connection}"
offline_store:
  type: {store}
entity_key_serialization_version: 3
"""
