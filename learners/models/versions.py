"""Published versions with their figures: records of the models topic, the lineage of every learner."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.learners.models.store import ModelHeader
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import ModelError
from headrace.schemas.topics import ProjectTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.reader import read_log

VERSION = Encoding(
    version=2,
    older=(UNVERSIONED, 1),  # lines of `LINEAGE`, without an artifact
    remedy="read it with that version",
    error=ModelError,
)
LINEAGE = "lineage.jsonl"  # where versions were recorded before the models topic


@dataclass(frozen=True, kw_only=True)
class PublishedVersion(ModelHeader):
    """A version in the lineage, with figures that take longer to compute than to publish it.

    Attributes
    ----------
    metrics
        See `ProgressiveValidation.summary`.
    digest
        See `state_digest`.
    artifact
        See `ModelStore.write`.
    """

    metrics: dict[str, Any]
    digest: str
    artifact: str = ""

    def encode(self) -> bytes:
        """Encode the version as a record of the models topic."""
        return json.dumps(VERSION.stamp() | vars(self)).encode()


def decode_version(raw: bytes | str, learner: str | None = None) -> PublishedVersion:
    """Decode what `PublishedVersion.encode` encoded.

    Parameters
    ----------
    learner
        Whose version it is said to be, for an error.

    Raises
    ------
    ModelError
        When the record has a version that is not read.
    ValueError, TypeError
        When it is no such record.
    """
    found = json.loads(raw)
    numbers = isinstance(found, dict) and all(isinstance(found.get(n), int) for n in ("major", "minor"))
    if not numbers or not isinstance(found.get("name"), str):
        raise ValueError("no published version")
    what = f"version {found.get('major')}.{found.get('minor')}"
    VERSION.check(found, f"the record of {what} of learner '{learner or found.get('name')}'")
    return PublishedVersion(**{field: value for field, value in found.items() if field not in ("v", "by")})


def read_versions(kafka: Kafka, project: str) -> list[PublishedVersion]:
    """Return all versions of all learners ever published, of each learner the oldest first.

    Raises
    ------
    ModelError
        When a record has a version that is not read. What is no record of a version is passed over.
    ServiceUnavailable
        When Kafka does not answer.
    """
    topic = ProjectTopics(project).models
    if topic not in KafkaAdmin(kafka).metadata().topics:
        return []
    messages = read_log(kafka, topic, 0)
    return _in_order(version for message in messages for version in _parse(message.value()))


def read_lineage_file(directory: Path, learner: str) -> list[PublishedVersion]:
    """Return the versions of a learner from before the models topic, oldest first.

    Raises
    ------
    ModelError
        When a line has a version that is not read.
    """
    path = directory / learner / LINEAGE
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return _in_order(version for line in lines for version in _parse(line, learner))


def _parse(raw: bytes | str | None, learner: str | None = None) -> Iterator[PublishedVersion]:
    """Yield the version in a record or line; none when a crash has torn the line, or it is another's."""
    try:
        yield decode_version(raw or b"", learner)
    except (ValueError, TypeError, RecursionError):
        return


def _in_order(versions: Iterable[PublishedVersion]) -> list[PublishedVersion]:
    """Sort versions, and of one that is there twice keep the last.

    A models topic has a version twice when the trainer's changelog was deleted.
    """
    last = {(version.name, version.major, version.minor): version for version in versions}
    return [last[key] for key in sorted(last)]
