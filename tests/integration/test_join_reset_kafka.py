"""A join whose state is lost, damaged or of other topics refuses to start, and is made anew from its logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import headrace.deploy.commands.reset_join as reset_join_module
from headrace.deploy.commands.intake_states import intake_counts
from headrace.deploy.commands.reset_join import plan_join_reset, reset_join
from headrace.deploy.commands.topic_deletion import delete_topics
from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.settings import Settings
from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import HeadraceError, ServiceUnavailable, StateError
from headrace.schemas.marks import mark_headers
from headrace.streams.join.outcome_intake import OutcomeIntake
from headrace.streams.join.outcome_reader import IntakeCounts
from headrace.streams.join.restore import restore_join
from headrace.streams.join.state import Input, KeyState, Position
from headrace.streams.runtime.restoring import Restoring
from tests.support.join_oracle import O, P
from tests.support.join_scene import PARTITIONS, SCHEMA, Loop, a_log, assert_joined_like_the_oracle
from tests.support.waiting import PATIENCE_S

State = list[tuple[Position, Mapping[str, KeyState]]]


def changelog_of(run: Loop) -> str:
    return run.plan.topics.router("delays").join_changelog


def restored(run: Loop) -> State:
    router, project = run.plan.routers[0], run.plan.project
    joins = [restore_join(run.bootstrap, project, router, n) for n in range(PARTITIONS)]
    return [(join.position(), dict(join.keys)) for join in joins]


def intakes(run: Loop) -> list[bytes]:
    """The state of each partition of the event topic."""
    intake = OutcomeIntake(run.plan, run.plan.routers[0], run.bootstrap)
    intake.restore(Restoring())
    return [intake.reader(n).encode() for n in range(PARTITIONS)]


def empty(run: Loop, topic: str) -> None:
    delete_topics(run.bootstrap, [topic])
    ensure_topics(run.bootstrap, run.plan, event_partitions=PARTITIONS)


def make_anew(run: Loop) -> list[str]:
    told: list[str] = []
    settings = Settings(kafka=run.bootstrap)
    counts = intake_counts(run.redis, run.plan, run.plan.routers[0])
    reset_join(run.bootstrap, run.plan, "delays", settings, counts, told.append)
    return told


@pytest.fixture
def half_read(loop: Callable[..., Loop]) -> Loop:
    """A join that has read half of a log, and has ended."""
    run, log = loop(instance_id=""), a_log(300, seed=5)
    event = encode_confluent(SCHEMA, 1, {"flight": "nobody", "late": None, "at": 5})
    for partition in range(PARTITIONS):
        run.send(run.plan.sources[0].topic, partition, event)
        run.send(run.plan.sources[0].topic, partition, None, mark_headers(7))
    run.producer.flush()
    told = dict.fromkeys(range(PARTITIONS), IntakeCounts(unlabelled=1, marks=1))
    run.join.wait_until(lambda: intake_counts(run.redis, run.plan, run.plan.routers[0]) == told, PATIENCE_S)
    for one in log[: len(log) // 2]:
        run.send_event(one)
    run.settle()
    with pytest.raises(HeadraceError, match=r"joins of project '.*' run"):
        plan_join_reset(run.bootstrap, run.plan, "delays")
    assert run.join.stop() == 0
    return run


def finish(run: Loop) -> None:
    """Send the other half, and compare everything that has come out."""
    log = a_log(300, seed=5)
    run.join.start()
    for event in log[len(log) // 2 :]:
        run.send_event(event)
    run.settle()
    assert_joined_like_the_oracle(run, log)


def test_a_join_without_its_changelog_goes_on_where_it_was(half_read: Loop) -> None:
    run = half_read
    before = restored(run), intakes(run)
    empty(run, changelog_of(run))
    with pytest.raises(StateError, match=r"its changelog was lost; stop the joins and run `headrace reset"):
        restored(run)
    planned = plan_join_reset(run.bootstrap, run.plan, "delays")
    assert (planned.gone, planned.moved) == (0, ())
    told = make_anew(run)
    places = [f"{changelog_of(run)}[{n}]" for n in range(PARTITIONS)]
    assert [line.partition(":")[0] for line in told] == places
    assert (restored(run), intakes(run)) == before
    finish(run)


def test_a_reset_that_was_interrupted_is_run_again(half_read: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = half_read
    before = restored(run)
    for step in ("delete_topics", "ensure_topics", "intake_records", "rebuild_join"):
        with monkeypatch.context() as patched:
            die_after(patched, step)
            with pytest.raises(KeyboardInterrupt):
                make_anew(run)
        with pytest.raises((StateError, ServiceUnavailable)):  # no changelog, or one without a position
            restored(run)
    make_anew(run)
    assert restored(run) == before


def die_after(patched: pytest.MonkeyPatch, step: str) -> None:
    whole = getattr(reset_join_module, step)

    def once(*arguments: Any, **more: Any) -> None:
        whole(*arguments, **more)
        raise KeyboardInterrupt

    patched.setattr(reset_join_module, step, once)


@pytest.mark.parametrize("kind", ["predictions", "outcomes"])
def test_inputs_that_were_made_again_are_read_from_their_beginning(half_read: Loop, kind: Input) -> None:
    run = half_read
    topic = run.names[kind]
    empty(run, topic)
    for n in range(400):  # more than were read of the topic before: an offset alone would not tell
        run.send_event(P(f"p{n}", f"k{n}", 9_000) if kind == "predictions" else O(f"o{n}", "k", 9_000, 1.0))
    run.producer.flush()
    with pytest.raises(StateError, match=rf"'{topic}' was deleted and made again.*reset --join delays"):
        restored(run)
    planned = plan_join_reset(run.bootstrap, run.plan, "delays")
    assert {name for name, _ in planned.moved} == {topic}
    assert "Read from the beginning" in planned.describe()
    make_anew(run)
    for position, keys in restored(run):
        assert position.next_offsets[kind] == 0
        assert not any(getattr(state, kind) for state in keys.values())
    run.join.start()
    for event in [P("last", "k", 9_500), O("its", "k", 9_501, 1.0)]:
        run.send_event(event)
    run.join.wait_until(lambda: "last" in [one.example_id for one in run.examples()], PATIENCE_S)
