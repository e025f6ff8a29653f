"""Artifacts that cannot be read are told all at once, with what is wrong with each, and one remedy."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from river import linear_model

from headrace.learners.models.store import Artifact, ModelHeader, ModelStore
from headrace.learners.training.learner_state import LearnerState, state_of_artifacts
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.learners.training.unreadable import unreadable_artifacts
from headrace.schemas.plan import Plan

KEY = b"a key of thirty-two characters.."
PLAN = Plan(project="shop")


def published(store: ModelStore, learner: str, minors: list[int], **more: Any) -> LearnerState:
    """Versions of a learner, as the log names them."""
    kept = []
    for minor in minors:
        header = ModelHeader(
            name=learner, major=1, minor=minor, parent=None, offset=10, examples=9, first_ms=1, last_ms=2,
            mark_ms=None, definition="d", plan_hash="p", libraries={}, created_ms=3,
        )  # fmt: skip
        content = store.write(Artifact(header, linear_model.LinearRegression(), b"memory", **more))
        kept.append(NamedArtifact(f"1.{minor}", content))
    return state_of_artifacts(10, True, tuple(kept))


def file(store: ModelStore, learner: str, one: NamedArtifact) -> Path:
    return store.directory / learner / f"{one.version}-{one.artifact}.model"


def test_readable_artifacts_and_older_ones_that_are_not_keep_nobody_from_going_on(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, KEY)
    newest = published(store, "fast", [1, 2])
    file(store, "fast", newest.kept[0]).write_bytes(b"half")
    assert unreadable_artifacts(PLAN, store, ["fast", "never"], {"fast": newest}) is None


def test_another_key_damage_and_another_version_are_told_apart_and_all_at_once(tmp_path: Path) -> None:
    store, other = ModelStore(tmp_path, KEY), ModelStore(tmp_path, b"another key, as long as that one")
    models = {
        "fast": published(other, "fast", [1, 2, 3]),
        "slow": published(store, "slow", [1, 2]),
        "sound": published(store, "sound", [1]),
        "newer": published(store, "newer", [7]),
    }
    cut = file(store, "slow", models["slow"].kept[-1])
    cut.write_bytes(cut.read_bytes()[:-3])
    of_newer = b"HEADRACE-MODEL-9" + file(store, "newer", models["newer"].kept[0]).read_bytes()[16:]
    whole = NamedArtifact("1.7", hashlib.sha256(of_newer).hexdigest()[:32])
    file(store, "newer", whole).write_bytes(of_newer)
    models["newer"] = state_of_artifacts(10, True, (whole,))
    told = str(unreadable_artifacts(PLAN, store, models, models)).splitlines()
    assert told[0] == f"artifacts of 3 learners in '{tmp_path}' cannot be read:"
    assert [line.split()[0] for line in told[1:-1]] == ["fast:"] * 3 + ["newer:", "slow:"]
    assert all("not signed with this key" in line for line in told[1:4])
    assert "has version 9, this Headrace reads" in told[4]
    assert "is damaged" in told[5]
    assert told[-1].startswith("Run `train` with the key and the version of Headrace")
    assert "stop all trainers and run `headrace retrain`" in told[-1]


def test_a_store_of_before_the_log_named_artifacts_is_told_of_at_once(tmp_path: Path) -> None:
    other = ModelStore(tmp_path, b"another key, as long as that one")
    for one in published(other, "fast", [1, 2]).kept:
        file(other, "fast", one).rename(tmp_path / "fast" / f"{one.version}.model")
    told = str(unreadable_artifacts(PLAN, ModelStore(tmp_path, KEY), ["fast"], {})).splitlines()
    assert len(told) == 4
