"""The topics that Headrace owns: their partitions, their settings, and which process lives by which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from headrace.streams.runtime.topic_settings import COMPACT, KEEP, LARGE

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import SourceSpec
    from headrace.schemas.plan import Plan
    from headrace.schemas.router_specs import RouterSpec
    from headrace.schemas.topics import RouterTopics, SourceTopics

Process = Literal["worker", "join", "train", "serve", "features"]
PROCESSES: tuple[Process, ...] = ("worker", "join", "train", "serve")  # `features` runs where it is wanted
Settings = Mapping[str, str]


@dataclass(frozen=True)
class TopicSpec:
    """A topic that a plan needs.

    Attributes
    ----------
    grows
        Whether partitions may be added to it: what is in it stays right.
    """

    name: str
    partitions: int
    config: Settings = field(default_factory=dict)
    grows: bool = False


@dataclass(frozen=True)
class ProcessTopics:
    """The internal topics of a kind of process, with the settings that they are made with.

    Attributes
    ----------
    lives_by
        Topics whose records are its state or its input: one that forgets some makes results wrong.
    writes
        Topics that others read.
    """

    lives_by: Mapping[str, Settings]
    writes: Mapping[str, Settings]


def event_topics(plan: Plan) -> tuple[str, ...]:
    """Return the topics that a plan reads events from."""
    return tuple(dict.fromkeys(source.topic for source in plan.sources))


def internal_topics(plan: Plan, partitions: Mapping[str, int]) -> list[TopicSpec]:
    """Return the topics that Headrace owns.

    Parameters
    ----------
    partitions
        Event topic to its partition count.
    """
    specs = [
        TopicSpec(plan.topics.dead_letters, 1, KEEP | LARGE),
        TopicSpec(plan.topics.late, 1, KEEP | LARGE),
    ]
    for source in plan.sources:
        specs += _of_source(plan.topics.source(source.name), source, partitions[source.topic])
    if plan.routers:
        specs.append(TopicSpec(plan.topics.models, 1, KEEP))
        specs.append(TopicSpec(plan.topics.train_changelog, 1, COMPACT | LARGE))
    for router in plan.routers:
        specs += _of_router(plan.topics.router(router.name), router)
    return specs


def internal_settings(plan: Plan) -> dict[str, Settings]:
    """Return the settings that each internal topic is made with."""
    return {spec.name: spec.config for spec in internal_topics(plan, dict.fromkeys(event_topics(plan), 1))}


def process_topics(plan: Plan, process: Process) -> ProcessTopics:
    """Return the internal topics of a kind of process."""
    of_process = {"worker": _of_worker, "join": _of_join, "train": _of_train, "serve": _of_serve}
    lives_by, writes = of_process[process](plan)
    settings = internal_settings(plan)
    return ProcessTopics(*({name: settings[name] for name in names} for names in (lives_by, writes)))


def _of_source(topics: SourceTopics, source: SourceSpec, partitions: int) -> Iterator[TopicSpec]:
    state = COMPACT | LARGE
    yield TopicSpec(topics.changelog, partitions, state, grows=True)
    if source.shards:  # another number of shards is another definition, which begins anew
        yield TopicSpec(topics.shuffle, source.shards, KEEP | LARGE, grows=True)
        yield TopicSpec(topics.shuffle_changelog, source.shards, state, grows=True)


def _of_router(topics: RouterTopics, router: RouterSpec) -> Iterator[TopicSpec]:
    yield TopicSpec(topics.predictions, router.partitions, KEEP)
    yield TopicSpec(topics.outcomes, router.partitions, KEEP)
    yield TopicSpec(topics.closings, router.partitions, KEEP | LARGE)
    yield TopicSpec(topics.join_changelog, router.partitions, COMPACT | LARGE)
    yield TopicSpec(topics.examples, 1, KEEP | LARGE)
    yield TopicSpec(topics.epochs, 1, KEEP)


_Names = tuple[list[str], list[str]]


def _of_worker(plan: Plan) -> _Names:
    lives_by: list[str] = []
    for source in plan.sources:
        if plan.views_of(source.name):
            topics = plan.topics.source(source.name)
            lives_by.append(topics.changelog)
            lives_by += [topics.shuffle, topics.shuffle_changelog] if source.shards else []
    return lives_by, [plan.topics.dead_letters, plan.topics.late]


def _of_join(plan: Plan) -> _Names:
    topics = _router_topics(plan)
    lives_by = [name for one in topics for name in (one.join_changelog, one.predictions, one.outcomes)]
    writes = [name for one in topics for name in (one.examples, one.closings)]
    return lives_by, [*writes, plan.topics.dead_letters]


def _of_train(plan: Plan) -> _Names:
    topics = _router_topics(plan)
    lives_by = [name for one in topics for name in (one.examples, one.closings)]
    own = [plan.topics.models, plan.topics.train_changelog] if topics else []
    return [*lives_by, *own], [*(one.epochs for one in topics), plan.topics.dead_letters]


def _of_serve(plan: Plan) -> _Names:
    return [], [name for one in _router_topics(plan) for name in (one.predictions, one.outcomes)]


def _router_topics(plan: Plan) -> list[RouterTopics]:
    return [plan.topics.router(router.name) for router in plan.routers]
