"""The model store: signed artifacts in a directory, one file per published version.

An artifact is ``MAGIC | lengths | header JSON | pickled model | HMAC | trainer memory | HMAC`` with the
lengths of header, model and memory as little-endian u64. The first HMAC-SHA256 covers all before it, the
second that first one and the memory: a router reads up to the first, a trainer reads it all. An artifact
appears under its name only when it is complete and on disk.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import ModelError, UnknownNameError
from headrace.streams.durable_files import write_atomically

ARTIFACT = Encoding(
    version=3,
    older=(2,),  # without the marks of its partitions
    remedy="load it with that version, or remove the file to train again",
    error=ModelError,
)
LINEAGE_LINE = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="read it with that version",
    error=ModelError,
)
_MAGIC = b"HEADRACE-MODEL-%d\n" % ARTIFACT.version
_ANY_MAGIC = re.compile(rb"HEADRACE-MODEL-(\d{1,9})\n")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
_LENGTHS = struct.Struct("<QQQ")  # of header, model, memory
_PREFIX = len(_MAGIC) + _LENGTHS.size
_SIGNATURE = hashlib.sha256().digest_size
LINEAGE = "lineage.jsonl"


@dataclass(frozen=True)
class ModelHeader:
    """The origin of a version.

    Attributes
    ----------
    name
        The learner.
    major, minor
        The version: major for a new definition, minor for each checkpoint.
    parent
        The version before; None for the first.
    offset
        Next offset of the examples topic: the model has learned the prefix ``[0, offset)``.
    examples
        Number of examples learned in it.
    first_ms, last_ms
        Bounds of their event times; None when there are none.
    mark_ms
        The last time mark; None before the first.
    definition, plan_hash
        Of the learner, and of the plan it was trained under.
    libraries
        Library to version.
    created_ms
        Wall clock.
    poisoned, duplicates
        Number of examples on which the model raised, and of those that came again.
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
    """A version in the lineage, with figures that take longer to compute than to publish it.

    Attributes
    ----------
    metrics
        See `ProgressiveValidation.summary`.
    digest
        See `state_digest`.
    """

    metrics: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class Artifact:
    """A version with its model.

    Attributes
    ----------
    header
        Where it comes from.
    model
        The river estimator.
    memory
        What its trainer needs to go on, besides the model; see `headrace.learners.training.trainer`.
    marks
        State of the `PartitionClocks` of the examples; None of an artifact from before marks had partitions.
    """

    header: ModelHeader
    model: Any
    memory: bytes = field(default=b"", repr=False)
    marks: Mapping[str, Any] | None = None


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
        """Write a version. It is durable before it becomes visible."""
        write_atomically(self._path(artifact.header.name, artifact.header.version), self._encode(artifact))

    def record(self, version: PublishedVersion) -> None:
        """Add a published version to the lineage, then remove the oldest artifacts beyond `keep`."""
        with (self.directory / version.name / LINEAGE).open("a") as lineage:
            lineage.write(json.dumps(LINEAGE_LINE.stamp() | vars(version)) + "\n")
        for old in self._versions(version.name)[: -self._keep]:
            self._path(version.name, old).unlink(missing_ok=True)

    def latest(self, name: str) -> str | None:
        """Return the newest version whose artifact is there, or None."""
        versions = self._versions(name)
        return versions[-1] if versions else None

    def load(self, name: str, version: str) -> Artifact:
        """Load a version of a learner to serve it, without its memory.

        Raises
        ------
        UnknownNameError
            When there is no artifact of that version.
        ModelError
            When the signature does not fit, the encoding has a version that is not read, or the pickle names
            what may not be loaded.
        """
        with self._open(name, version) as file:
            return self._read_model(file, name, version)[0]

    def resume(self, name: str, version: str) -> Artifact:
        """Load a version of a learner to train it further, with its memory. Raises as `load` does."""
        with self._open(name, version) as file:
            artifact, signature = self._read_model(file, name, version)
            memory = file.read()
        memory, second = memory[:-_SIGNATURE], memory[-_SIGNATURE:]
        self._verify(f"the memory of model {name}@{version}", signature + memory, second)
        return replace(artifact, memory=memory)

    def lineage(self, name: str) -> list[PublishedVersion]:
        """Return all versions ever published, oldest first."""
        return read_lineage(self.directory, name)

    def _path(self, name: str, version: str) -> Path:
        return self.directory / name / f"{version}.model"

    def _versions(self, name: str) -> list[str]:
        """Return the versions whose artifacts are there, oldest first; files of other names are nobody's."""
        stems = (path.stem for path in (self.directory / name).glob("*.model"))
        return sorted(filter(_VERSION.fullmatch, stems), key=lambda stem: tuple(map(int, stem.split("."))))

    def _open(self, name: str, version: str) -> BinaryIO:
        try:
            return self._path(name, version).open("rb")
        except FileNotFoundError:
            raise UnknownNameError(f"version of learner '{name}'", version, self._versions(name)) from None
        except OSError as error:
            raise ModelError(
                f"model {name}@{version} cannot be read: {error}; correct the rights of its file, "
                "or remove it to train again"
            ) from error

    def _read_model(self, file: BinaryIO, name: str, version: str) -> tuple[Artifact, bytes]:
        """Return the artifact without its memory, and its signature, verified before anything is decoded."""
        what, prefix = f"model {name}@{version}", file.read(_PREFIX)
        if magic := _ANY_MAGIC.match(prefix):
            ARTIFACT.check_version(int(magic[1]), f"the artifact of {what}")
        lengths = _LENGTHS.unpack(prefix[len(_MAGIC) :]) if len(prefix) == _PREFIX else (0, 0, 0)
        if _PREFIX + sum(lengths) + 2 * _SIGNATURE != os.fstat(file.fileno()).st_size:
            lengths = (0, 0, 0)  # damaged: there is no signature that fits
        body = file.read(lengths[0] + lengths[1])
        signature = file.read(_SIGNATURE)
        self._verify(what, prefix + body, signature)
        raw = json.loads(body[: lengths[0]])
        marks = raw.pop("marks", None)
        header = ModelHeader(**raw)
        if (header.name, header.version) != (name, version):
            raise ModelError(f"the file of {name}@{version} holds {header.name}@{header.version}; restore it")
        return Artifact(header, load_model(body[lengths[0] :]), marks=marks), signature

    def _encode(self, artifact: Artifact) -> bytes:
        header = json.dumps(vars(artifact.header) | {"marks": artifact.marks}).encode()
        model = dump_model(artifact.model)
        memory = artifact.memory
        head = _MAGIC + _LENGTHS.pack(len(header), len(model), len(memory)) + header + model
        signature = self._sign(head)
        return b"".join((head, signature, memory, self._sign(signature + memory)))

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")

    def _verify(self, what: str, body: bytes, signature: bytes) -> None:
        if not hmac.compare_digest(self._sign(body), signature):
            raise ModelError(
                f"{what} is not signed with this key, or damaged; set the key it was published with, "
                "or remove the file to train again"
            )


def read_lineage(directory: Path, name: str) -> list[PublishedVersion]:
    """Return all versions of a learner ever published, oldest first. Needs no key: nothing is unpickled.

    Raises
    ------
    ModelError
        When a line has a version that is not read.
    """
    path = directory / name / LINEAGE
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    headers = {header.version: header for line in lines for header in _parse(line, name)}
    return sorted(headers.values(), key=lambda header: (header.major, header.minor))


def _parse(line: str, name: str) -> Iterator[PublishedVersion]:
    """Yield the version in a line of the lineage; none when a crash has torn the line, or it is another's."""
    try:
        raw = json.loads(line)
        if not isinstance(raw, dict) or not all(isinstance(raw.get(n), int) for n in ("major", "minor")):
            return
        version = f"version {raw.get('major')}.{raw.get('minor')}"
        LINEAGE_LINE.check(raw, f"the line of {version} in the lineage of learner '{name}'")
        yield PublishedVersion(**{field: value for field, value in raw.items() if field not in ("v", "by")})
    except (ValueError, TypeError, RecursionError):
        return
