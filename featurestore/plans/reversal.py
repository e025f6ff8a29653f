"""What a change of the plan takes away for good, and how to have again what was before."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.featurestore.plans.diff import ONLINE_STORE, Change
from headrace.featurestore.plans.stored_things import Consequences
from headrace.featurestore.plans.usage import PlanUsage
from headrace.schemas.plan import Plan

_REBUILD = "then run `headrace rebuild`, for rows that no event has touched meanwhile"


class Reversal:
    """What of each change cannot be undone, and the way back.

    Parameters
    ----------
    old, new
        The plan in force, and the plan that would be applied.
    things
        What becomes of the stored things.
    usage
        How much there is.
    """

    def __init__(self, old: Plan, new: Plan, things: Consequences, usage: PlanUsage) -> None:
        self._old, self._new, self._things, self._usage = old, new, things, usage

    def lost(self, change: Change) -> list[str]:
        """What cannot be undone, one line each."""
        return list(self._lost(change))

    def _lost(self, change: Change) -> Iterator[str]:
        thing, name = change.kind, change.name
        if thing == "source" and ("state", name) in self._things.anew | self._things.begun:
            topic = self._new.source(name).topic
            if deleted := self._usage.deleted(topic):
                yield (
                    f"topic {topic} has deleted its first {deleted:,} records: nothing that is computed anew "
                    "follows from them, windows and values of a lifetime neither"
                )
        if thing == "feature view" and ("materialised rows", name) in self._things.anew:
            yield "rows of entities that the table does not have stay as they are"
        removed = change.sign == "-" and name in self._new.pushed_views() | self._old.pushed_views()
        if removed and self._usage.deletes_rows:
            yield "rows that were pushed to it are nowhere else"

    def way_back(self, change: Change) -> list[str]:
        """How to have again what was before; empty where applying the former definition is all of it."""
        return list(self._way_back(change))

    def _way_back(self, change: Change) -> Iterator[str]:
        things, kind, name = self._things, change.kind, change.name
        if kind == "source" and ("state", name) in things.anew:
            yield (
                "apply the former definitions: their state is in the changelogs, and goes on where it "
                f"stopped; {_REBUILD}"
            )
            if any(("feature log", view.name) in things.anew for view in self._new.views_of(name)):
                yield "what is set aside of feature logs comes back with the former definition"
        elif kind == "stream feature view":
            if change.sign == "-":
                yield f"apply it again; {_REBUILD}"
        elif kind == "feature view" and ("materialised rows", name) in things.anew | things.left:
            yield "apply the former definition, then run `headrace materialize`, which writes it whole again"
        elif kind == ONLINE_STORE and self._old.online.key_version != self._new.online.key_version:
            yield (
                "rows under the former keys stay in Redis, and are found with the former setting; "
                "then run `headrace rebuild`"
            )
        elif kind == "learner" and ("model versions", name) in things.anew:
            serving = self._usage.serving(name) or "its newest version"
            yield f"apply the former definition: it goes on from {serving}, where the model store has it"
