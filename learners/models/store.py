"""The model store: signed artifacts in a directory.

A file is named by its version and its content, so a writer replaces none. The trainer's changelog says which
of them count: others are nobody's.

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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from headrace.learners.models.input_kinds import Kind
from headrace.learners.models.inputs import Declared
from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.schemas.encodings import Encoding
from headrace.schemas.errors import ModelError, UnknownNameError
from headrace.streams.durable_files import write_atomically

ARTIFACT = Encoding(
    version=5,
    older=(2, 3, 4),  # without the marks of its partitions; without kinds; without inputs and code
    remedy="load it with that version, or remove the file to train again",
    error=ModelError,
)
_MAGIC = b"HEADRACE-MODEL-%d\n" % ARTIFACT.version
_ANY_MAGIC = re.compile(rb"HEADRACE-MODEL-(\d{1,9})\n")
_LENGTHS = struct.Struct("<QQQ")  # of header, model, memory
_PREFIX = len(_MAGIC) + _LENGTHS.size
_SIGNATURE = hashlib.sha256().digest_size
_DIGEST = 32  # characters of the SHA-256 of an artifact that name it
_SUFFIX = ".model"
_PAUSE_S = 0.002  # after 64 kB of a model that is to serve, which take about a millisecond to load
_MORE = ("marks", "kinds", "inputs", "code")  # besides the header
# Without the name of its content: from before the log named artifacts.
_NAME = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-[0-9a-f]{32})?\.model")


def names_artifact(version: str, artifact: str) -> bool:
    """Whether an artifact may have this version and name of its content, which make the name of its file.

    >>> names_artifact("1.10", ""), names_artifact("1.10", "../../other"), names_artifact("01.1", "")
    (True, False, False)
    """
    return _NAME.fullmatch(_file_name(version, artifact)) is not None


def _file_name(version: str, artifact: str) -> str:
    return f"{version}{artifact and '-'}{artifact}{_SUFFIX}"


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

    @property
    def time_ms(self) -> int | None:
        """Event time that the version has reached, by marks and examples; None before the first of them."""
        return max((one for one in (self.mark_ms, self.last_ms) if one is not None), default=None)


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
    kinds
        Of the request fields that nothing declares, the kinds that the model has learned; see `Inputs.bound`.
    inputs
        What the model reads, by which it serves under a plan that defines it otherwise; None of an artifact
        from before models told.
    code
        See `project_code`.
    """

    header: ModelHeader
    model: Any
    memory: bytes = field(default=b"", repr=False)
    marks: Mapping[str, Any] | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    inputs: tuple[Declared, ...] | None = None
    code: Mapping[str, str] = field(default_factory=dict)


class ModelStore:
    """Artifacts below `directory`, in one folder per learner.

    Parameters
    ----------
    directory
        Created when missing.
    key
        Signs artifacts; at least 16 bytes. Nothing signed with another key is loaded.
    keep
        How many of the newest artifacts of each learner the trainer keeps at least; see `retained`.
    """

    def __init__(self, directory: Path, key: bytes, keep: int = 20) -> None:
        if len(key) < 16:
            raise ModelError(f"the model key has {len(key)} bytes; use at least 16 random ones")
        self.directory = directory
        self.keep = keep
        self.key = key

    def write(self, artifact: Artifact) -> str:
        """Write an artifact, and return the name of its content. It is durable before it becomes visible."""
        data = self._encode(artifact)
        digest = hashlib.sha256(data).hexdigest()[:_DIGEST]
        write_atomically(self._path(artifact.header.name, artifact.header.version, digest), data)
        return digest

    def has(self, name: str, version: str, artifact: str) -> bool:
        """Return whether an artifact of a learner is there."""
        return self._path(name, version, artifact).exists()

    def has_any(self, name: str) -> bool:
        """Return whether any artifact of a learner is there."""
        return next(self._artifacts(name), None) is not None

    def named(self, name: str) -> set[tuple[str, str]]:
        """Return version and name of the content of each artifact of a learner that has one."""
        named = ((path.name, content) for path, content in self._artifacts(name) if content)
        return {(file.partition("-")[0], content[1:]) for file, content in named}

    def others(self, name: str, kept: Iterable[tuple[str, str]]) -> list[Path]:
        """Return the files of all artifacts of a learner but those of these versions and contents.

        Files of other names are nobody's.
        """
        named = {self._path(name, version, artifact) for version, artifact in kept}
        return [path for path, _ in self._artifacts(name) if path not in named]

    def written_before(self, name: str) -> list[str]:
        """Return the versions of artifacts from before artifacts were named by the log, oldest first."""
        before = (path.stem for path, content in self._artifacts(name) if content is None)
        return sorted(before, key=lambda stem: tuple(map(int, stem.split("."))))

    def is_damaged(self, name: str, version: str, artifact: str) -> bool:
        """Return whether an artifact has another content than its name says; False where it says none.

        So damage is told from another key.
        """
        data = self._path(name, version, artifact).read_bytes()
        return bool(artifact) and hashlib.sha256(data).hexdigest()[:_DIGEST] != artifact

    def load(self, name: str, version: str, artifact: str) -> Artifact:
        """Load a version of a learner to serve it, without its memory, and with pauses for other threads.

        Raises
        ------
        UnknownNameError
            When there is no such artifact of that version.
        ModelError
            When the signature does not fit, the encoding has a version that is not read, or the pickle names
            what may not be loaded.
        """
        with self._open(name, version, artifact) as file:
            return self._read_model(file, name, version, _PAUSE_S)[0]

    def header(self, name: str, version: str, artifact: str) -> ModelHeader:
        """Return the origin of a version, whether or not its model can be loaded. Raises as `load` does."""
        with self._open(name, version, artifact) as file:
            return self._read_header(file, name, version)[0]

    def resume(self, name: str, version: str, artifact: str) -> Artifact:
        """Load a version of a learner to train it further, with its memory. Raises as `load` does."""
        with self._open(name, version, artifact) as file:
            found, signature = self._read_model(file, name, version)
            memory = file.read()
        memory, second = memory[:-_SIGNATURE], memory[-_SIGNATURE:]
        self._verify(f"the memory of model {name}@{version}", signature + memory, second)
        return replace(found, memory=memory)

    def _artifacts(self, name: str) -> Iterator[tuple[Path, str | None]]:
        """Yield the files of a learner's artifacts, with the part of the name that is of the content."""
        for path in (self.directory / name).glob(f"*{_SUFFIX}"):
            if (match := _NAME.fullmatch(path.name)) and path.is_file():
                yield path, match[3]

    def _path(self, name: str, version: str, artifact: str) -> Path:
        return self.directory / name / _file_name(version, artifact)

    def _open(self, name: str, version: str, artifact: str) -> BinaryIO:
        path = self._path(name, version, artifact)
        try:
            return path.open("rb")
        except FileNotFoundError:
            there = sorted(other.name for other in path.parent.glob(f"*{_SUFFIX}"))
            raise UnknownNameError(f"artifact of learner '{name}'", path.name, there) from None
        except OSError as error:
            raise ModelError(
                f"model {name}@{version} cannot be read: {error}; correct the rights of its file, "
                "or remove it to train again"
            ) from error

    def _read_model(
        self, file: BinaryIO, name: str, version: str, pause_s: float = 0.0
    ) -> tuple[Artifact, bytes]:
        """Return the artifact without its memory, and its signature."""
        header, more, model, signature = self._read_header(file, name, version)
        inputs = more.get("inputs")
        artifact = Artifact(
            header,
            load_model(model, pause_s),
            marks=more.get("marks"),
            kinds=more.get("kinds", {}),
            inputs=None if inputs is None else tuple((name, served, kind) for name, served, kind in inputs),
            code=more.get("code", {}),
        )
        return artifact, signature

    def _read_header(
        self, file: BinaryIO, name: str, version: str
    ) -> tuple[ModelHeader, dict[str, Any], bytes, bytes]:
        """Return header, what else is told of the model, its pickle and the signature.

        The signature is verified before anything is decoded.
        """
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
        more = {key: raw.pop(key) for key in _MORE if key in raw}
        header = ModelHeader(**raw)
        if (header.name, header.version) != (name, version):
            raise ModelError(f"the file of {name}@{version} holds {header.name}@{header.version}; restore it")
        return header, more, body[lengths[0] :], signature

    def _encode(self, artifact: Artifact) -> bytes:
        more = {key: getattr(artifact, key) for key in _MORE}
        header = json.dumps(vars(artifact.header) | more).encode()
        model = dump_model(artifact.model)
        memory = artifact.memory
        head = _MAGIC + _LENGTHS.pack(len(header), len(model), len(memory)) + header + model
        signature = self._sign(head)
        return b"".join((head, signature, memory, self._sign(signature + memory)))

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self.key, body, "sha256")

    def _verify(self, what: str, body: bytes, signature: bytes) -> None:
        if not hmac.compare_digest(self._sign(body), signature):
            raise ModelError(
                f"{what} is not signed with this key, or damaged; set the key it was published with, "
                "or remove the file to train again"
            )
