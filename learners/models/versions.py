"""Published versions with their figures: records of the models topic, the lineage of every learner."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from confluent_kafka import Message
from pydantic import TypeAdapter

from headrace.learners.models.store import ModelHeader
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import ModelError
from headrace.schemas.printable import printable
from headrace.schemas.topics import ProjectTopics
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.reader import read_log

_log = logging.getLogger(__name__)

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


_VERSIONS = TypeAdapter(PublishedVersion)
_FIELDS = frozenset(field.name for field in fields(PublishedVersion))


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
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise ValueError("no published version")
    if not all(_is_a_number(found.get(name)) for name in ("major", "minor")):
        raise ValueError("a version without numbers")
    if not _is_a_number(found.get("v", UNVERSIONED)):
        raise ValueError("a record of no version")
    what = f"version {found['major']}.{found['minor']}"
    VERSION.check(found, f"the record of {what} of learner '{learner or found['name']}'")
    values = {field: value for field, value in found.items() if field not in ("v", "by")}
    if unknown := values.keys() - _FIELDS:
        raise ValueError(f"fields of another record: {sorted(unknown)}")
    return _VERSIONS.validate_python(values)


def _is_a_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def read_versions(kafka: Kafka, project: str) -> list[PublishedVersion]:
    """Return all versions of all learners ever published, of each learner the oldest first.

    What is no record of a version is passed over, and with a warning one of a newer Headrace.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    topic = ProjectTopics(project).models
    if topic not in KafkaAdmin(kafka).metadata().topics:
        return []
    return _in_order(version for message in read_log(kafka, topic, 0) for version in _of_message(message))


def _of_message(message: Message) -> Iterator[PublishedVersion]:
    try:
        yield from _parse(message.value())
    except ModelError as error:
        _log.warning("%s[0]@%d is left out: %s", message.topic(), message.offset(), printable(str(error)))


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
