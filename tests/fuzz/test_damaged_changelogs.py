"""Damage in a changelog, which is read when a process starts: it goes on, or ends and says what to do."""

from __future__ import annotations

from headrace.streams.runtime.internal_topics import Process, process_topics
from tests.support.fuzz_scene import FuzzScene
from tests.support.headrace_command import run_headrace
from tests.support.topic_fuzz import TopicFuzz
from tests.support.waiting import eventually

# What each names, as `docs/operations/runbook.md` has it.
REMEDIES: dict[Process, str] = {
    "worker": "headrace reset",
    "join": "headrace reset --join",
    "train": "headrace retrain",
}


def damage_until_refused(scene: FuzzScene, fuzz: TopicFuzz, process: Process, topics: list[str]) -> str:
    """More and more records, until the process does not go on; what it said."""
    for number in range(12):
        for topic in topics:
            fuzz.send(topic, 2**number, is_compacted=True)
        said = scene.start_alone(process)
        print(process, 2**number, (said or "goes on").splitlines()[-1])
        if said is not None:
            return said
    raise AssertionError(f"{process} goes on whatever is in its changelog")


def test_a_process_goes_on_or_ends_with_the_remedy(scene: FuzzScene, seed: int) -> None:
    scene.start()
    scene.work("before")
    scene.end()
    topics = [name for name in scene.topics if "changelog" in name]
    fuzz = TopicFuzz(scene.bootstrap, {name: scene.topics[name] for name in topics}, seed)
    for process, remedy in REMEDIES.items():
        said = damage_until_refused(scene, fuzz, process, changelogs_of(scene, process))
        assert "Traceback" not in said
        assert remedy in said.splitlines()[-1]
    for source in scene.plan.sources:
        run_until_nobody_is_there(scene, "reset", source.name, "--yes")
    for router in scene.plan.routers:
        run_until_nobody_is_there(scene, "reset", "--join", router.name, "--yes")
    run_until_nobody_is_there(scene, "retrain", "--yes")
    for process in REMEDIES:
        assert scene.start_alone(process) is None


def run_until_nobody_is_there(scene: FuzzScene, *words: str) -> None:
    """Run a command that refuses while the group has members: one that was killed is there for a while."""

    def complaint() -> str:
        told = run_headrace(words, scene.repository, scene.settings.environment())
        return told.stderr if told.returncode else ""

    refusal = "run, or have ended less than a session time-out ago"
    assert eventually(complaint, " ".join(words), lambda said: refusal not in said) == ""


def changelogs_of(scene: FuzzScene, process: Process) -> list[str]:
    return [name for name in process_topics(scene.plan, process).lives_by if "changelog" in name]
