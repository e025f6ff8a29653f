"""What tests send with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Producer


def ordered_producer(bootstrap: str, settings: Mapping[str, Any] | None = None) -> Producer:
    """A producer whose records come into the log as they were sent. Of one that is not idempotent, what is
    sent again while a new topic gets its leader may stand behind what came later."""
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, **(settings or {})})
