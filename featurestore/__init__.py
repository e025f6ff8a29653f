"""The feature store. Its clients are imported on first use, so that importing the package costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.featurestore.online.client import AsyncFeatureClient, FeatureClient

__all__ = ["AsyncFeatureClient", "FeatureClient"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from headrace.featurestore.online import client

        return getattr(client, name)
    raise AttributeError(f"module 'featurestore' has no attribute '{name}'")
