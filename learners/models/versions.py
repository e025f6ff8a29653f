"""Published versions with their figures: records of the models topic, the lineage of every learner."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
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
    version=3,
    older=(UNVERSIONED, 1, 2),  # lines of `LINEAGE`, without an artifact; none of them short
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

    def encode_shortly(self, whole: PublishedVersion) -> bytes:
        """Encode the version as a short record: of metrics the single numbers, and what differs from another.

        Parameters
        ----------
        whole
            A version with the same major number whose record is whole.
        """
        before = vars(whole)
        differs = {name: value for name, value in vars(self.shortened()).items() if value != before[name]}
        place = {"name": self.name, "major": self.major, "minor": self.minor}
        if self.parent == f"{self.major}.{self.minor - 1}":
            differs.pop("parent", None)
        short = {"v": VERSION.version, _WHOLE: whole.minor} | place | differs
        return json.dumps(short, separators=(",", ":")).encode()

    def shortened(self) -> PublishedVersion:
        """Return the version with those of its metrics that are single numbers."""
        numbers = {
            name: value
            for name, value in self.metrics.items()
            if value is None or isinstance(value, int | float)
        }
        return replace(self, metrics=numbers)


_WHOLE = "whole"  # in a short record the minor number of the version that has the rest
Wholes = dict[tuple[str, int], PublishedVersion]  # by name and major, the last that was whole
_VERSIONS = TypeAdapter(PublishedVersion)
_FIELDS = frozenset(field.name for field in fields(PublishedVersion))


def decode_version(
    raw: bytes | str, learner: str | None = None, wholes: Wholes | None = None
) -> PublishedVersion:
    """Decode what `PublishedVersion.encode` encoded, or `encode_shortly`.

    Parameters
    ----------
    learner
        Whose version it is said to be, for an error.
    wholes
        Versions that short records refer to. A whole one is added.

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
    values = {field: value for field, value in found.items() if field not in ("v", "by", _WHOLE)}
    if unknown := values.keys() - _FIELDS:
        raise ValueError(f"fields of another record: {sorted(unknown)}")
    wholes = {} if wholes is None else wholes
    place = values["name"], values["major"]
    if _WHOLE in found:
        return _lengthened(values, wholes.get(place), found[_WHOLE])
    version = wholes[place] = _VERSIONS.validate_python(values)
    return version


def _lengthened(values: dict[str, Any], whole: PublishedVersion | None, minor: object) -> PublishedVersion:
    if whole is None or whole.minor != minor:
        raise ValueError("the record that has the rest is not there")
    parent = {"parent": f"{values['major']}.{values['minor'] - 1}"}
    return _VERSIONS.validate_python(vars(whole) | parent | values)


def _is_a_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def read_versions(kafka: Kafka, project: str, learner: str | None = None) -> list[PublishedVersion]:
    """Return all versions of all learners, or of one, ever published, of each learner the oldest first.

    Raises as `each_version` does.
    """
    return _in_order(each_version(kafka, project, learner))


def each_version(kafka: Kafka, project: str, learner: str | None = None) -> Iterator[PublishedVersion]:
    """Yield all versions of all learners, or of one, ever published, in the order of their records.

    No more is held than one whole record of each definition.

    What is no record of a version is passed over, and with a warning one of a newer Headrace.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    topic = ProjectTopics(project).models
    if topic not in KafkaAdmin(kafka).metadata().topics:
        return
    wholes: Wholes = {}
    wanted = None if learner is None else learner.encode()
    for message in read_log(kafka, topic, 0):
        if wanted is None or message.key() in (None, wanted):
            for version in _of_message(message, wholes):
                if learner in (None, version.name):
                    yield version


def _of_message(message: Message, wholes: Wholes) -> Iterator[PublishedVersion]:
    try:
        yield from _parse(message.value(), wholes=wholes)
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


def _parse(
    raw: bytes | str | None, learner: str | None = None, wholes: Wholes | None = None
) -> Iterator[PublishedVersion]:
    """Yield the version in a record or line; none when a crash has torn the line, or it is another's."""
    try:
        yield decode_version(raw or b"", learner, wholes)
    except (ValueError, TypeError, RecursionError):
        return


def _in_order(versions: Iterable[PublishedVersion]) -> list[PublishedVersion]:
    """Sort versions, and of one that is there twice keep the last.

    A models topic has a version twice when the trainer's changelog was deleted.
    """
    last = {(version.name, version.major, version.minor): version for version in versions}
    return [last[key] for key in sorted(last)]
