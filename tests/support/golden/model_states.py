"""Made-up states of the trainer: epochs, artifacts, versions, changelog, pointers."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headrace.learners.models.metrics import ProgressiveValidation
from headrace.learners.models.operations import Operation, Outcome
from headrace.learners.models.pointers import EPOCH, ModelPointer, epoch_entry
from headrace.learners.models.store import Artifact, ModelHeader, ModelStore
from headrace.learners.models.versions import PublishedVersion, decode_version
from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.training.changelog import (
    INPUTS_KEY,
    OPERATIONS_KEY,
    TrainState,
    encode_inputs,
    encode_operations,
    encode_reported,
    model_key,
    reported_key,
)
from headrace.learners.training.learner_state import (
    DefinitionVersions,
    LearnerState,
    state_of_artifacts,
)
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.learners.training.seen_ids import SeenIds
from headrace.learners.training.steering import Reset, Steering
from headrace.schemas.signatures import Signer
from tests.support.golden.golden_file import Bytes
from tests.support.golden.join_states import a_router, closing

KEY = b"0123456789abcdef"
_HEADER = ModelHeader(
    name="clicks",
    major=2,
    minor=3,
    parent="2.2",
    offset=10,
    examples=9,
    first_ms=1,
    last_ms=2,
    mark_ms=None,
    definition="d",
    plan_hash="p",
    libraries={"python": "3", "river": "0"},
    created_ms=3,
    poisoned=1,
    duplicates=2,
)
_MEMORY = bytes.fromhex(  # of a trainer, of before the metrics in it had a version
    "0200000000000000ef39fafe422ef63f000000000000e03f000000000000e03f01008d7e9aaab58b6ff4e81665c97894ce91"
)


def write_epochs() -> Bytes:
    """Two partitions: an epoch that is complete, one that the second partition holds back, one begun."""
    keeper = EpochKeeper(a_router(), "h", 2)
    for partition, offset, ts_ms, label in ((0, 0, 1_000, 1.0), (0, 1, 1_600, 0.0), (1, 0, 1_100, 0.0)):
        keeper.take(partition, offset, closing(f"p{ts_ms}", ts_ms, label))
    keeper.mark(1, 1, 2_550)
    keeper.take(0, 2, closing("p2", 2_200, 1.0))
    return [keeper.to_json().encode()]


def read_epochs(found: Bytes) -> Bytes:
    keeper = EpochKeeper(a_router(), "h", 2)
    assert keeper.restore(found[0].decode())
    return [keeper.to_json().encode()]


def write_artifact() -> Bytes:
    return _published(Artifact(_HEADER, {"weights": {"x": 0.5}, "seen": [1, None]}, _MEMORY))


def read_artifact(found: Bytes) -> Bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "clicks", "2.3.model")
        file.parent.mkdir()
        file.write_bytes(found[0])
        return _published(ModelStore(Path(folder), KEY).resume("clicks", "2.3", ""))


def newer_artifact(found: Sequence[bytes]) -> Bytes:
    return [re.sub(rb"MODEL-\d+", b"MODEL-9", found[0], count=1)]


def _published(artifact: Artifact) -> Bytes:
    with tempfile.TemporaryDirectory() as folder:
        content = ModelStore(Path(folder), KEY).write(artifact)
        return [Path(folder, "clicks", f"2.3-{content}.model").read_bytes()]


def write_memory() -> Bytes:
    validation, seen = ProgressiveValidation(), SeenIds()
    for number, label in enumerate((1.0, 0.0)):
        validation.update(0.5, label)
        seen.add(f"p{number}")
    return [validation.to_bytes(), seen.to_bytes()]


def read_memory(found: Bytes) -> Bytes:
    return [ProgressiveValidation.from_bytes(found[0]).to_bytes(), SeenIds(found[1]).to_bytes()]


def write_versions() -> Bytes:
    """Each in a line of its own, as lineage files had them."""
    version = PublishedVersion(**vars(_HEADER), metrics={"count": 9, "auc": None}, digest="e")
    return _recorded([version, replace(version, minor=4, parent="2.3", offset=20)])


def read_versions(found: Bytes) -> Bytes:
    return _recorded([decode_version(line, "clicks") for line in found[0].splitlines()])


def _recorded(versions: Sequence[PublishedVersion]) -> Bytes:
    return [b"\n".join(version.encode() for version in versions)]


def write_changelog() -> Bytes:
    kept = (NamedArtifact("2.2", ""), NamedArtifact("2.3", "0f" * 16))
    newest = state_of_artifacts(10, False, kept)
    place = "headrace.shop.examples.r", 0
    return [model_key("clicks"), newest.encode(), reported_key(place), encode_reported(7)]


def read_changelog(found: Bytes) -> Bytes:
    state = TrainState()
    for key, value in zip(found[::2], found[1::2], strict=True):
        state.load(key, value)
    ((learner, newest),), ((place, end),) = state.models.items(), state.reported.items()
    return [model_key(learner), newest.encode(), reported_key(place), encode_reported(end)]


def write_learner_state() -> Bytes:
    """A definition that serves, and its successor."""
    first = DefinitionVersions("d", "r", 1, 3, 10, True, (NamedArtifact("1.3", "0f" * 16),))
    second = DefinitionVersions("e", "r", 2, 0, 7, False, (NamedArtifact("2.0", "f0" * 16),))
    return [LearnerState((first, second), 1, 4).encode()]


def write_steering() -> Bytes:
    """What operators have decided of a learner whose artifacts have times."""
    kept = (NamedArtifact("1.1", "0e" * 16), NamedArtifact("1.3", "0f" * 16, 3_600_000, 10))
    versions = DefinitionVersions("d", "r", 1, 3, 10, True, kept)
    steering = Steering("1.1", ("1.1", "1.3"), 3, Reset("1.3", 9), ("f0",))
    return [LearnerState((versions,), 1, 1, steering).encode()]


def read_learner_state(found: Bytes) -> Bytes:
    return [LearnerState.decode(found[0], "clicks").encode()]


def write_inputs() -> Bytes:
    return [INPUTS_KEY, encode_inputs({"headrace.shop.examples.r": "0f"})]


def read_inputs(found: Bytes) -> Bytes:
    state = TrainState()
    state.load(found[0], found[1])
    return [found[0], encode_inputs(state.inputs)]


def write_position() -> Bytes:
    return [OPERATIONS_KEY, encode_operations(7)]


def read_position(found: Bytes) -> Bytes:
    state = TrainState()
    state.load(found[0], found[1])
    assert state.operations is not None
    return [found[0], encode_operations(state.operations)]


def write_operation() -> Bytes:
    """What an operator did, and what became of it."""
    operation = Operation(
        kind="reset",
        learner="clicks",
        version="2.3",
        who="ada",
        why="bad labels",
        ts_ms=3,
        skip_to=9,
        id="f0",
    )
    outcome = Outcome(id="f0", learner="clicks", offset=10, version="2.3", refused=None)
    return [operation.encode("shop", KEY), outcome.encode()]


def read_operation(found: Bytes) -> Bytes:
    return [Operation.decode(found[0], "shop", KEY).encode("shop", KEY), Outcome.decode(found[1]).encode()]


def write_pointer() -> Bytes:
    return [ModelPointer("2.3", 10).encode().encode()]


def write_epoch_in_force() -> Bytes:
    signature = Signer(KEY, "pointer").sign("epoch")
    return [epoch_entry('{"router": "r", "epoch": 3}', "log", 1, signature).encode()]


def read_epoch_in_force(found: Bytes) -> Bytes:
    raw = json.loads(found[0])
    EPOCH.check(raw, "the epoch")
    return [epoch_entry(raw["epoch"], raw["log"], raw["era"], raw["signature"]).encode()]


def read_pointer(found: Bytes) -> Bytes:
    return [ModelPointer.decode(found[0]).encode().encode()]
