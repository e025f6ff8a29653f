"""The stored things of a plan, each with the hash of what it follows from, and what a change does to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.schemas.follows_from import (
    StoredThing,
    digest,
    epochs_definition,
    log_definition,
    meaning,
    table_definition,
    versions_definition,
)
from headrace.schemas.plan import Plan
from headrace.streams.state.fingerprint import definition_of

Named = tuple[StoredThing, str]  # what it is, and of which source, view, learner or router


def stored_things(plan: Plan) -> dict[Named, str]:
    """Return the hash of what each stored thing of a plan follows from.

    Two plans with one hash of a thing have that thing in common; see `headrace.schemas.follows_from`.
    """
    return dict(_things(plan))


def backfill_definition(plan: Plan, view: str) -> str:
    """Return the hash of what a backfill follows from: the log it writes, and the state of all views."""
    spec = plan.stream_view(view)
    return digest([log_definition(plan, spec), definition_of(plan, plan.source(spec.source))])


def _things(plan: Plan) -> Iterator[tuple[Named, str]]:
    for source in plan.sources:
        if plan.views_of(source.name):
            yield ("state", source.name), definition_of(plan, source)
    for view in plan.stream_views:
        state = definition_of(plan, plan.source(view.source))
        yield ("online rows", view.name), digest([state, meaning(plan.online, "online rows")])
        yield ("feature log", view.name), log_definition(plan, view)
        yield ("backfill", view.name), backfill_definition(plan, view.name)
    for table in plan.batch_views:
        yield ("materialised rows", table.name), table_definition(plan, table)
    for router in plan.routers:
        yield ("epochs", router.name), epochs_definition(router)
    for learner in plan.learners:
        if any(learner.name in router.arms for router in plan.routers):
            yield ("model versions", learner.name), versions_definition(plan, learner)


@dataclass(frozen=True)
class Consequences:
    """What a change of the plan does to stored things.

    Attributes
    ----------
    begun
        Those that only the new plan has.
    anew
        Those that are computed or written again, because what they follow from changes.
    kept
        Those that stay as they are.
    left
        Those that only the old plan has.
    """

    begun: frozenset[Named]
    anew: frozenset[Named]
    kept: frozenset[Named]
    left: frozenset[Named]


def consequences(old: Plan, new: Plan) -> Consequences:
    """Compare the stored things of the plan in force and of another."""
    before, after = stored_things(old), stored_things(new)
    both = before.keys() & after.keys()
    anew = frozenset(thing for thing in both if before[thing] != after[thing])
    return Consequences(
        begun=frozenset(after.keys() - before.keys()),
        anew=anew,
        kept=frozenset(both - anew),
        left=frozenset(before.keys() - after.keys()),
    )
