"""Costs of a change of the plan: what is computed, written or learned again, how much, how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from headrace.featurestore.plans.consumers import consumers_of
from headrace.featurestore.plans.diff import ONLINE_STORE, Change
from headrace.featurestore.plans.spec_text import find, view_features
from headrace.featurestore.plans.stored_things import Consequences, Named
from headrace.featurestore.plans.usage import Amount, PlanUsage
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, StreamViewSpec
from headrace.schemas.follows_from import FOLLOWS_FROM
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.spec import Spec

_WAITING_FOLLOW = ("outcome", "wait_ms", "missing", "duplicates")


class PlanCosts:
    """The costs of each change between two plans.

    Parameters
    ----------
    old, new
        The plan in force, and the plan that would be applied.
    things
        What becomes of the stored things.
    usage
        How much there is, and how long it takes to have it again.
    """

    def __init__(self, old: Plan, new: Plan, things: Consequences, usage: PlanUsage) -> None:
        self._old, self._new, self._usage, self._things = old, new, usage, things

    def of(self, change: Change) -> list[str]:
        """The costs of one change, one line each; empty when it costs nothing."""
        costs = {
            ONLINE_STORE: self._online_store,
            "source": self._source,
            "stream feature view": self._stream_view,
            "feature view": self._batch_view,
            "on demand feature view": self._on_demand_view,
            "learner": self._learner,
            "router": self._router,
        }.get(change.kind)
        return list(costs(change.name)) if costs else []

    def rereads(self) -> list[Change]:
        """Sources whose topics are read again, because they or their views change."""
        return [Change("~", "source", source.name) for source in self._new.sources if self._is_anew(source)]

    def _is_anew(self, source: Spec) -> bool:
        return ("state", source.name) in self._things.anew  # type: ignore[attr-defined]

    def _begins(self, thing: Named) -> bool:
        return thing in self._things.anew or thing in self._things.begun

    def _online_store(self, name: str) -> Iterator[str]:
        if self._old.online.key_version != self._new.online.key_version:
            if found := sum(self._usage.rows(view).count for view in self._old.stream_views):
                rows = Amount(found, exact=False).text("row", "rows")
                yield (
                    f"{rows} of stream views are not found by the new keys until `headrace rebuild` has "
                    "written them"
                )
            if self._old.batch_views:
                yield "`headrace materialize` writes every batch view from the beginning"

    def _source(self, name: str) -> Iterator[str]:
        if not self._begins(("state", name)):
            if ("state", name) in self._things.left:
                yield "its state stays in its changelogs, read by nobody"
            return
        source = self._new.source(name)
        records = self._usage.records(source.topic)
        amount = f", {records.text('record', 'records')} so far" if records.count else ""
        views = self._new.views_of(name)
        listed = ", ".join(view.name for view in views)
        yield f"topic {source.topic} is read from its beginning{amount}, to compute {listed}"
        if seconds := self._usage.seconds_to_compute(name) if records.count else None:
            yield f"that takes one worker {duration_text(seconds)}, by records of the topic computed just now"
        others = [view for view in views if find(self._old.stream_views, view.name) == view]
        if rows := sum(self._usage.rows(view).count for view in others):
            names = ", ".join(view.name for view in others)
            yield f"{Amount(rows, exact=False).text('row', 'rows')} of {names} in Redis to rewrite"
        yield from self._set_aside([view.name for view in others])
        if any(self._usage.rows(view).count for view in self._old.views_of(name)):
            yield "until that is done their rows go back to earlier values"

    def _set_aside(self, views: list[str]) -> Iterator[str]:
        """Feature logs that begin anew."""
        if anew := [view for view in views if ("feature log", view) in self._things.anew]:
            rows = sum(self._usage.logged(view).count for view in anew)
            amount = f", {Amount(rows).text('row', 'rows')}," if rows else ""
            yield f"the feature log of {', '.join(anew)} begins anew: what is in it{amount} is set aside"

    def _stream_view(self, name: str) -> Iterator[str]:
        before, after = find(self._old.stream_views, name), find(self._new.stream_views, name)
        if after is None:
            assert before is not None
            yield from self._deleted(before)
            yield "its feature log stays"
        elif before is not None:
            if ("online rows", name) in self._things.anew:
                yield f"{self._usage.rows(before).text('row', 'rows')} in Redis to rewrite"
            yield from self._set_aside([name])
        if after is not None and (added := self._new_features(before, after)):
            topic = self._new.source(after.source).topic
            yield (
                f"backfill needed: {', '.join(added)}; online and in the feature log as far "
                f"back as topic {topic} goes"
            )
        yield from self._affected(name, before, after)

    def _batch_view(self, name: str) -> Iterator[str]:
        before, after = find(self._old.batch_views, name), find(self._new.batch_views, name)
        if after is None:
            assert before is not None
            yield from self._deleted(before)
        elif self._begins(("materialised rows", name)):
            over = f", over {self._usage.rows(before).text('row', 'rows')} in Redis" if before else ""
            yield (
                "`headrace materialize` is needed: it reads the table from its beginning, and writes the "
                f"latest row of every entity{over}"
            )
        yield from self._affected(name, before, after)

    def _on_demand_view(self, name: str) -> Iterator[str]:
        before, after = find(self._old.on_demand_views, name), find(self._new.on_demand_views, name)
        if before and after and (before.definition, before.file) != (after.definition, after.file):
            yield f"clients that compute it need {after.file} as it is now, and are refused with another"

    def _deleted(self, view: StreamViewSpec | BatchViewSpec) -> Iterator[str]:
        if (rows := self._usage.rows(view)).count:
            if self._usage.deletes_rows:
                yield f"{rows.text('row', 'rows')} in Redis to delete"
            else:
                yield f"{rows.text('row', 'rows')} left in Redis, read by nobody"

    def _new_features(self, before: Spec | None, after: Spec) -> list[str]:
        """Features that are added or changed."""
        old = view_features(before)
        return [name for name, spec in view_features(after).items() if old.get(name) != spec]

    def _affected(self, name: str, before: Spec | None, after: Spec | None) -> Iterator[str]:
        """Learners of either plan that read features of a view that change."""
        old, new = view_features(before), view_features(after)
        changed = [feature for feature in old.keys() | new.keys() if old.get(feature) != new.get(feature)]
        refs = [FeatureRef(view=name, feature=feature) for feature in changed]
        learners = {name for plan in (self._old, self._new) for name in consumers_of(plan, refs).learners}
        if learners:
            yield f"learners affected: {', '.join(sorted(learners))}"

    def _learner(self, name: str) -> Iterator[str]:
        if find(self._new.learners, name) is None:
            yield "its versions stay in the model store"
        elif self._begins(("model versions", name)):
            yield from self._training(name)
        elif not any(name in router.arms for router in self._new.routers):
            yield "no router has it as an arm, so it learns nothing"

    def _training(self, name: str) -> Iterator[str]:
        router = next(router for router in self._new.routers if name in router.arms)
        examples = max(self._usage.examples(arm).count for arm in router.arms)
        amount = Amount(examples).text("record", "records")
        former = self._usage.learned_before(name)
        is_successor = ("model versions", name) in self._things.anew
        begins = "a new major version begins and learns" if is_successor else "it learns"
        if former:
            begins = f"it had version {former} by this definition, and goes on from it, through"
        since = "" if former else " from the first one"
        so_far = f", {amount} so far" if examples else ""
        yield f"{begins} the examples of router {router.name}{since}{so_far}"
        if examples:
            yield from self._catching_up(name, amount, former)
            yield from self._lacking(name, router)

    def _catching_up(self, name: str, amount: str, former: str) -> Iterator[str]:
        """How long answers come from what, until a version has learned what its predecessor has."""
        seconds, serving = self._usage.seconds_to_learn(name), self._usage.serving(name)
        lasts = "until then" if seconds is None or former else f"for {duration_text(seconds)}"
        if serving:
            learns = f"{former} catches up" if former else f"the new one learns {amount}"
            yield f"{lasts} answers come from {serving} while {learns}"
        else:
            yield f"{lasts} its answers are those of a model that has not learned them"

    def _lacking(self, name: str, router: RouterSpec) -> Iterator[str]:
        """Features that the examples so far were served without."""
        if router_before := find(self._old.routers, router.name):
            served = set(self._old.router_features(router_before))
            reads = [ref for ref in self._new.router_features(router) if self._reads(name, ref)]
            if lacking := [ref.text for ref in reads if ref not in served]:
                yield f"the examples so far were served without {', '.join(lacking)}"

    def _reads(self, learner: str, ref: FeatureRef) -> bool:
        service = self._new.learner(learner).service
        return service is not None and ref in self._new.service(service).features

    def _epochs(self, before: RouterSpec, after: RouterSpec, differing: Sequence[str]) -> Iterator[str]:
        if ("epochs", after.name) in self._things.anew:
            rules = ", ".join(field for field in differing if "epochs" in FOLLOWS_FROM[RouterSpec][field])
            yield f"its epochs are computed again from the first closing, by another {rules}"
            yield "until as many closings are read, the epoch in force stays"
        elif before.policy != after.policy:
            yield "the next epoch is made of the rewards so far, by the new policy"
        if added := [arm for arm in after.arms if arm not in before.arms]:
            yield f"{', '.join(added)} begins with a small share, the others keep their proportions"

    def _router(self, name: str) -> Iterator[str]:
        before, after = find(self._old.routers, name), find(self._new.routers, name)
        if after is None:
            yield "its topics, epochs and what waits in its join stay, read by nobody"
        elif before is not None:
            differing = [f for f in RouterSpec.model_fields if getattr(before, f) != getattr(after, f)]
            yield from self._epochs(before, after, differing)
            if any(field in _WAITING_FOLLOW for field in differing):
                yield "predictions that wait for their labels now are closed by the new rules, too"


def duration_text(seconds: float) -> str:
    """A length of time as an estimate.

    >>> duration_text(0.2), duration_text(170.4), duration_text(7_000)
    ('about 1 s', 'about 170 s', 'about 1:56:40')
    """
    whole = max(1, round(seconds))
    return f"about {whole} s" if whole < 600 else f"about {timedelta(seconds=whole)}"
