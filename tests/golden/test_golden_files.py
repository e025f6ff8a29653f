"""Every persisted encoding writes the bytes of its golden file, and reads older ones as documented."""

from __future__ import annotations

import re

import pytest

from headrace.schemas.errors import HeadraceError
from headrace.streams.progress import Progress, RunningProcess
from tests.support.golden.every_encoding import GOLDEN
from tests.support.golden.golden_file import FOLDER, golden_path, load, with_version_9

NAMES = sorted(GOLDEN)
# Versions that a Headrace before this one has written. Each is read, and gives the state of today's bytes.
OLDER = [
    ("backfill.blocks", 0),
    ("backfill.state", 0),
    ("backfill.state", 1),
    ("training.memory", 1),
    ("routing.epochs", 0),
    ("join.changelog.keys", 1),
    ("join.changelog.position", 1),
    ("join.changelog.position", 2),
    ("join.changelog.position", 3),
    ("join.changelog.position", 4),
    ("join.changelog.position", 5),
    ("join.changelog.position", 6),
    ("models.pointers", 0),
    ("models.store.artifact", 2),
    ("models.store.artifact", 3),
    ("models.store.artifact", 4),
    ("models.pointers", 3),
    ("models.pointers", 4),
    ("models.versions", 2),
    ("training.changelog", 2),
    ("training.learner_state", 2),
    ("training.changelog", 1),
    ("routing.epochs", 2),
    ("models.pointers", 1),
    ("models.pointers", 2),
    ("models.versions", 0),
    ("models.versions", 1),
    ("routing.epochs", 1),
    ("join.outcome_reader", 0),
    ("state.partition", 0),
    ("state.partition", 1),
    ("state.shard", 0),
    ("state.shard", 1),
    ("progress", 0),
    ("progress", 1),
    ("redis_codec.provenance", 1),
    ("state.shuffle", 0),
    ("state.shuffle", 1),
]
REMEDY = (
    "{0} writes other bytes than its golden file says. Installations hold the old ones: raise the version "
    "in the module, say there whether the old one is read, write the new golden file with "
    "`python -m tests.support.golden.write {0}`, and keep the old one as what must be read or refused"
)


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_are_those_of_the_golden_file(name: str) -> None:
    golden = GOLDEN[name]
    path = golden_path(name, golden.version)
    assert path.exists(), f"{path.name} is not there; run `python -m tests.support.golden.write {name}`"
    same = golden.canonical(golden.written()) == golden.canonical(load(path))
    assert same, REMEDY.format(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_gives_the_state_that_it_was_written_of(name: str) -> None:
    golden = GOLDEN[name]
    found = load(golden_path(name, golden.version))
    assert golden.canonical(golden.read_again(found)) == golden.canonical(golden.written())


@pytest.mark.parametrize(("name", "version"), OLDER)
def test_what_an_older_headrace_wrote_is_read(name: str, version: int) -> None:
    golden = GOLDEN[name]
    found = golden.read_again(load(golden_path(name, version)))
    assert golden.canonical(found) == golden.canonical(golden.written())


@pytest.mark.parametrize("name", [name for name in NAMES if GOLDEN[name].newer])
def test_a_version_that_is_not_known_is_refused(name: str) -> None:
    golden = GOLDEN[name]
    assert golden.newer is not None
    with pytest.raises(HeadraceError, match=r"has version 9, this Headrace reads .*written by .*Headrace"):
        golden.read_again(golden.newer(golden.written()))


def test_progress_of_a_version_that_is_not_known_says_nothing() -> None:
    (raw,) = with_version_9(GOLDEN["progress"].written())
    assert b'"v":9' in raw
    assert Progress.decode(raw) == Progress(0)


def test_a_process_of_a_version_that_is_not_known_is_passed_over() -> None:
    (raw,) = with_version_9(GOLDEN["progress.processes"].written())
    assert b'"v":9' in raw
    assert RunningProcess.decode("worker", "host-7", raw) is None


def test_every_golden_file_is_of_an_encoding_and_a_version_of_it() -> None:
    wanted = {(name, golden.version) for name, golden in GOLDEN.items()} | set(OLDER)
    found = {re.fullmatch(r"(.+)[.](\d+)[.]json", path.name) for path in FOLDER.glob("*.json")}
    assert {(match[1], int(match[2])) for match in found if match} == wanted
    assert all(version < GOLDEN[name].version for name, version in OLDER)


def test_other_bytes_under_the_same_version_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "encode", lambda self: '{"v":2,"at":7}')
    with pytest.raises(AssertionError, match=r"raise the version .*keep the old one"):
        test_the_bytes_are_those_of_the_golden_file("progress")
