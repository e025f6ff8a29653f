"""The model store: signed artifacts in a directory, one file per published version.

An artifact is ``MAGIC | length, header JSON | length, pickled model | length, trainer memory | HMAC-SHA256``
with lengths as little-endian u64 and the HMAC over all before it. It appears under its name only when it is
complete and on disk.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learners.safe_pickle import dump_model, load_model
from schemas.errors import ModelError, UnknownNameError
from streams.durable_files import write_atomically

_MAGIC = b"HEADRACE-MODEL-1\n"
_LENGTH = struct.Struct("<Q")
_SIGNATURE = hashlib.sha256().digest_size
LINEAGE = "lineage.jsonl"


@dataclass(frozen=True)
class ModelHeader:
    """Where a version comes from.

    `offset` is the next offset of the examples topic: the model has learned the prefix ``[0, offset)``,
    `examples` of it. `first_ms` and `last_ms` bound the event times of what it learned; `mark_ms` is the
    last time mark. `created_ms` is the wall clock.
    """

    name: str
    major: int
    minor: int
    parent: str | None
    offset: int
    examples: int
    first_ms: int | None
    last_ms: int | None
    mark_ms: int | None
    definition: str
    plan_hash: str
    libraries: dict[str, str]
    created_ms: int
    poisoned: int = 0
    duplicates: int = 0

    @property
    def version(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, kw_only=True)
class PublishedVersion(ModelHeader):
    """A version in the lineage, with what takes longer to find out than to publish it: the metrics of its
    progressive validation, and the digest of its state."""

    metrics: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class Artifact:
    """A model with its header, and what its trainer must remember (see `learners.trainer`)."""

    header: ModelHeader
    model: Any
    memory: bytes = field(default=b"", repr=False)


class ModelStore:
    """Artifacts below `directory`, in one folder per learner.

    Parameters
    ----------
    directory
        Created when missing.
    key
        Signs artifacts; at least 16 bytes. Nothing signed with another key is loaded.
    keep
        Artifacts kept per learner. The lineage of removed ones stays.
    """

    def __init__(self, directory: Path, key: bytes, keep: int = 5) -> None:
        if len(key) < 16:
            raise ModelError(f"the model key has {len(key)} bytes; use at least 16 random ones")
        self.directory = directory
        self._key = key
        self._keep = keep

    def publish(self, artifact: Artifact) -> None:
        """Make a version durable and then visible."""
        write_atomically(self._path(artifact.header.name, artifact.header.version), self._encode(artifact))

    def record(self, version: PublishedVersion) -> None:
        """Add a version that was published to the lineage; then drop the oldest beyond the retention."""
        with (self.directory / version.name / LINEAGE).open("a") as lineage:
            lineage.write(json.dumps(vars(version)) + "\n")
        for old in self._versions(version.name)[: -self._keep]:
            self._path(version.name, old).unlink(missing_ok=True)

    def latest(self, name: str) -> str | None:
        """The newest version that can be loaded, or None."""
        versions = self._versions(name)
        return versions[-1] if versions else None

    def load(self, name: str, version: str) -> Artifact:
        """One version of a learner.

        Raises
        ------
        UnknownNameError
            When it is not there (any more).
        ModelError
            When its signature does not fit, or it holds what may not be loaded.
        """
        try:
            data = self._path(name, version).read_bytes()
        except FileNotFoundError:
            raise UnknownNameError(f"version of learner '{name}'", version, self._versions(name)) from None
        header, model, memory = self._verify(f"model {name}@{version}", data)
        found = ModelHeader(**json.loads(header))
        if (found.name, found.version) != (name, version):
            raise ModelError(f"the file of {name}@{version} holds {found.name}@{found.version}; restore it")
        return Artifact(found, load_model(model), memory)

    def lineage(self, name: str) -> list[PublishedVersion]:
        """All versions ever published, oldest first."""
        return read_lineage(self.directory, name)

    def _path(self, name: str, version: str) -> Path:
        return self.directory / name / f"{version}.model"

    def _versions(self, name: str) -> list[str]:
        stems = (path.stem for path in (self.directory / name).glob("*.model"))
        return sorted(stems, key=lambda stem: tuple(map(int, stem.split("."))))

    def _encode(self, artifact: Artifact) -> bytes:
        header = json.dumps(vars(artifact.header)).encode()
        body = bytearray(_MAGIC)
        for part in (header, dump_model(artifact.model), artifact.memory):
            body += _LENGTH.pack(len(part)) + part
        return bytes(body) + self._sign(body)

    def _sign(self, body: bytes | bytearray | memoryview) -> bytes:
        return hmac.digest(self._key, body, "sha256")

    def _verify(self, what: str, data: bytes) -> tuple[bytes, bytes, bytes]:
        """The three parts of an artifact; nothing of it is interpreted before the signature fits."""
        body, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        if not hmac.compare_digest(self._sign(body), signature) or not body.startswith(_MAGIC):
            raise ModelError(
                f"{what} is not signed with this key, or damaged; set the key it was published with, "
                "or remove the file to train again"
            )
        header, model, memory = _parts(body)
        return header, model, memory


def read_lineage(directory: Path, name: str) -> list[PublishedVersion]:
    """All versions of a learner ever published, oldest first. Needs no key, for nothing of it is run."""
    path = directory / name / LINEAGE
    lines = path.read_text().splitlines() if path.exists() else []
    headers = {header.version: header for line in lines for header in _parse(line)}
    return sorted(headers.values(), key=lambda header: (header.major, header.minor))


def _parts(body: bytes) -> Iterator[bytes]:
    at = len(_MAGIC)
    while at < len(body):
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        yield body[at : at + length]
        at += length


def _parse(line: str) -> Iterator[PublishedVersion]:
    """The version in a line of the lineage; none when a crash has torn it."""
    try:
        yield PublishedVersion(**json.loads(line))
    except (ValueError, TypeError):
        return
