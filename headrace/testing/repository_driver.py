"""A Feast repository over events, without Kafka and Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.featurestore.batch.table import BatchTable
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.online.retrieval import EntityRows, Features, Retrievals
from headrace.featurestore.udfs.loading import load_udfs
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import UnknownNameError
from headrace.streams.sinks import OnlineRows
from headrace.testing.event_log import EventLog
from headrace.testing.online_rows import OnlineStoreInMemory
from headrace.testing.stream_driver import StreamDriver


class RepositoryDriver:
    """Runs the views of a Feast repository over events, and serves them as the SDK does.

    The repository is compiled as `headrace apply` compiles it. Windows, udfs, shuffles, encodings and
    on-demand views are those of production. Kafka, Redis and the wall clock are missing: event time is what
    the events say.

    Parameters
    ----------
    repo_dir
        The Feast repository.
    partitions
        How many partitions each event topic has.

    Attributes
    ----------
    plan
        What the repository was compiled to.

    Raises
    ------
    DefinitionError
        When a definition cannot be run, as `headrace plan` tells it.
    """

    def __init__(self, repo_dir: Path | str, partitions: int = 1) -> None:
        parts = compile_features(Path(repo_dir))
        self.plan, self._repository = parts.plan(), parts.repository
        self._store = OnlineStoreInMemory(self.plan)
        self._retrievals = Retrievals(self.plan, repo_dir)
        transforms = (
            load_udfs(Path(repo_dir), self.plan) if any(v.udf for v in self.plan.stream_views) else {}
        )
        sources = [source for source in self.plan.sources if self.plan.views_of(source.name)]
        self.logs = {source.name: EventLog(source, partitions) for source in sources}
        self._drivers = {
            source.name: _Driver(
                self._store, self.plan, source, self.logs[source.name].partitions, transforms
            )
            for source in sources
        }

    def send(self, source: str, events: Iterable[Mapping[str, Any]], append_ms: int | None = None) -> None:
        """Append events to the topic of a source and process them.

        Parameters
        ----------
        source
            Name of the `KafkaSource`.
        events
            Mappings of field to value, checked as `EventProducer` checks them.
        append_ms
            When the broker takes them, epoch milliseconds; the event time of each when None.

        Raises
        ------
        UnknownNameError
            When no stream view reads such a source.
        RecordError
            When an event does not fit the schema of the source; none is sent.
        """
        self._log(source).send(events, append_ms)
        self._process(source)

    def append(self, source: str, value: bytes | None, key: bytes | None = None, append_ms: int = 0) -> None:
        """Append a record of any bytes to the topic of a source and process it, to see what bad ones do."""
        self._log(source).append(value, key, append_ms)
        self._process(source)

    def advance(self, source: str, time_ms: int) -> None:
        """Let event time reach `time_ms`, epoch milliseconds, without an event: windows empty."""
        self._log(source).mark(time_ms)
        self._process(source)

    def materialize(self, end: datetime | None = None) -> dict[str, int]:
        """Write the latest row of every entity of every batch view, from their tables; rows by view.

        Raises
        ------
        DefinitionError
            When a table cannot be read or a column does not fit its declared type.
        """
        written = {}
        for view in self.plan.batch_views:
            table = BatchTable(self._repository, view)
            keys, features, times_us = table.read(end or datetime.now(UTC), None)
            self._store.write_batch_view(view.name, keys, features, times_us)
            written[view.name] = len(times_us)
        return written

    def get_online_features(
        self,
        features: Features,
        entity_rows: EntityRows,
        full_feature_names: bool = True,
        now_ms: int | None = None,
    ) -> FeatureResponse:
        """Read features as `FeatureClient.get_online_features` does; same arguments, values and statuses.

        `now_ms` is the time by which the ttl of views is judged, epoch milliseconds; the event time of the
        newest row when None.
        """
        request = self._retrievals.get(features, full_feature_names).request(entity_rows)
        return request.respond(
            self._store.replies(request), self._store.latest_ms if now_ms is None else now_ms
        )

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Records that were turned away (late ones too), by source, in order."""
        return [dead_letter for driver in self._drivers.values() for dead_letter in driver.dead_letters]

    def checkpoint(self) -> None:
        """Make everything processed so far durable."""
        for driver in self._drivers.values():
            for reader in driver.readers:
                reader.checkpoint()

    def crash(self) -> None:
        """Lose all state, restore it from the last checkpoint, and process again what came after it."""
        for source, driver in self._drivers.items():
            for reader in driver.readers:
                reader.crash()
            self._process(source)

    def _log(self, source: str) -> EventLog:
        if source not in self.logs:
            raise UnknownNameError("source with stream views", source, list(self.logs))
        return self.logs[source]

    def _process(self, source: str) -> None:
        self._drivers[source].drain()


class _Driver(StreamDriver):
    def __init__(self, store: OnlineStoreInMemory, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._store = store

    def store(self, rows: OnlineRows) -> None:
        self._store.write(rows)
