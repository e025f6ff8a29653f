"""Headrace: a streaming feature store and online learner.

Public names are imported on first use, so that ``import headrace`` costs next to nothing and each
name only needs the extra it belongs to.

>>> from headrace import EventFormat
>>> EventFormat("orders", '{"type": "string"}', timestamp_field=None).topic
'orders'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.deploy.settings import load_settings
    from headrace.featurestore.field_status import FieldStatus
    from headrace.featurestore.online.async_client import AsyncFeatureClient
    from headrace.featurestore.online.client import FeatureClient
    from headrace.featurestore.online.response import FeatureResponse
    from headrace.learners.definitions import (
        EpsilonGreedy,
        FixedSplit,
        Learner,
        Outcome,
        Router,
        Target,
        ThompsonSampling,
    )
    from headrace.learners.frozen import FrozenModel
    from headrace.schemas.errors import HeadraceError
    from headrace.streams.async_event_producer import AsyncEventProducer
    from headrace.streams.event_producer import EventProducer
    from headrace.streams.producers.event_format import EventFormat

__all__ = [
    "AsyncEventProducer",
    "AsyncFeatureClient",
    "EpsilonGreedy",
    "EventFormat",
    "EventProducer",
    "FeatureClient",
    "FeatureResponse",
    "FieldStatus",
    "FixedSplit",
    "FrozenModel",
    "HeadraceError",
    "Learner",
    "Outcome",
    "Router",
    "Target",
    "ThompsonSampling",
    "load_settings",
]

_MODULES = {
    "headrace.deploy.settings": ("load_settings",),
    "headrace.featurestore.field_status": ("FieldStatus",),
    "headrace.featurestore.online.async_client": ("AsyncFeatureClient",),
    "headrace.featurestore.online.client": ("FeatureClient",),
    "headrace.featurestore.online.response": ("FeatureResponse",),
    "headrace.learners.definitions": (
        "EpsilonGreedy",
        "FixedSplit",
        "Learner",
        "Outcome",
        "Router",
        "Target",
        "ThompsonSampling",
    ),
    "headrace.learners.frozen": ("FrozenModel",),
    "headrace.schemas.errors": ("HeadraceError",),
    "headrace.streams.async_event_producer": ("AsyncEventProducer",),
    "headrace.streams.event_producer": ("EventProducer",),
    "headrace.streams.producers.event_format": ("EventFormat",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'headrace' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
