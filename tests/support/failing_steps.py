"""Calls to Kafka, Redis and Feast's registry that are counted, and of which one is made to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import redis
import redis.client
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from feast.infra.registry.file import FileRegistryStore

from headrace.schemas.errors import ServiceUnavailable

_SERVICES: dict[type, Callable[[], Exception]] = {
    AdminClient: lambda: KafkaException(KafkaError(KafkaError._TRANSPORT, "made to fail")),  # type: ignore[attr-defined]
    redis.Redis: lambda: redis.ConnectionError("made to fail"),
    redis.client.Pipeline: lambda: redis.ConnectionError("made to fail"),
    FileRegistryStore: lambda: OSError("made to fail"),
}
_LOCAL = ("poll", "close", "pipeline", "reset", "from_pool", "from_url", "get_encoder", "register_script")


class FailingSteps:
    """Fails each step of what is run once: a step is a method of a client and the how-manieth call of it.

    Parameters
    ----------
    only
        Parts of the names of methods; others do not fail.

    Attributes
    ----------
    failed
        The step that failed in the last run, None when all were tried before.
    tried
        All steps that have failed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, only: Sequence[str] = ("",)) -> None:
        self.failed: str | None = None
        self.tried: list[str] = []
        self._armed, self._stays_away, self._calls = False, False, Counter[str]()
        for owner, error in _SERVICES.items():
            for name in _methods(owner):
                if not any(part in f"{owner.__name__}.{name}" for part in only):
                    continue
                monkeypatch.setattr(owner, name, self._watched(owner, name, error))

    def run(self, action: Callable[[], None], stays_away: bool = False) -> Exception | None:
        """Run an action whose next step that was not tried fails; return what it raises.

        With `stays_away` all later calls to that service fail as well.
        """
        self.failed, self._calls, self._armed, self._stays_away = None, Counter(), True, stays_away
        try:
            action()
        except Exception as error:
            return error
        finally:
            self._armed = False
        return None

    def _watched(self, owner: type, name: str, error: Callable[[], Exception]) -> Callable[..., Any]:
        method, service = getattr(owner, name), owner.__name__
        if name == "list_topics":  # it is asked again for a quarter of a minute
            error = partial(ServiceUnavailable, "made to fail")

        def call(client: Any, *args: Any, **kwargs: Any) -> Any:
            if self._armed:
                detail = f" {args[0]}" if name == "execute_command" else ""
                self._calls[f"{service}.{name}{detail}"] += 1
                step = f"{service}.{name}{detail} {self._calls[f'{service}.{name}{detail}']}"
                away = self._stays_away and (self.failed or "").startswith(service)
                if away or (self.failed is None and step not in self.tried):
                    if self.failed is None:
                        self.failed = step
                        self.tried.append(step)
                    raise error()
            return method(client, *args, **kwargs)

        return call


def _methods(owner: type) -> list[str]:
    """What asks the service: of a client of Redis its one door, else every public method."""
    if owner is redis.Redis:
        return ["execute_command"]
    if owner is redis.client.Pipeline:
        return ["execute"]
    names = [name for name in dir(owner) if not name.startswith("_") and name not in _LOCAL]
    return [name for name in names if callable(getattr(owner, name))]
