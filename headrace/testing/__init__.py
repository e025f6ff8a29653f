"""Test definitions without servers: the same engine as in production, driven event by event.

`RepositoryDriver` runs a Feast repository over events and answers as `FeatureClient` does. `EventLog` stands
in for an event topic, `SchemaRegistryStandIn` for a schema registry, `StreamDriver` runs one source of a plan
over logs.

>>> from headrace.testing import RepositoryDriver
>>> driver = RepositoryDriver("feature_repo")                                     # doctest: +SKIP
>>> driver.send("orders", [{"shop": "a", "amount": 5.0, "at": 1_700_000_000_000}])  # doctest: +SKIP
>>> driver.get_online_features(["shop_orders:amount_1h"], [{"shop": "a"}]).rows()  # doctest: +SKIP
[{'shop': 'a', 'shop_orders__amount_1h': 5.0}]
"""

from headrace.testing.event_log import EventLog
from headrace.testing.repository_driver import RepositoryDriver
from headrace.testing.schema_registry import SchemaRegistryStandIn
from headrace.testing.stream_driver import LogReader, StreamDriver

__all__ = ["EventLog", "LogReader", "RepositoryDriver", "SchemaRegistryStandIn", "StreamDriver"]
