"""Costs of a change of the plan: records to read, rows to write, features to backfill, models to train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from headrace.featurestore.plans.consumers import consumers_of
from headrace.featurestore.plans.diff import Change
from headrace.featurestore.plans.usage import Amount, PlanUsage
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec
from headrace.schemas.spec import Spec
from headrace.streams.state.fingerprint import definition_of

_EPOCHS_FOLLOW_FROM = ("arms", "policy", "refresh_ms", "wait_ms", "reward", "feedback")


class PlanCosts:
    """The costs of each change between two plans.

    Parameters
    ----------
    old, new
        The plan in force, None when there is none, and the plan that would be applied.
    usage
        How many rows, records and examples there are.
    """

    def __init__(self, old: Plan | None, new: Plan, usage: PlanUsage) -> None:
        self._old, self._new, self._usage = old or Plan(project=new.project), new, usage
        self._reread = [s.name for s in new.sources if self._is_reread(s.name)]

    def of(self, change: Change) -> list[str]:
        """The costs of one change, one line each; empty when it costs nothing."""
        costs = {
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
        return [Change("~", "source", name) for name in self._reread if _find(self._old.sources, name)]

    def _is_reread(self, name: str) -> bool:
        source, before = self._new.source(name), _find(self._old.sources, name)
        if not self._new.views_of(name):
            return False
        return before is None or definition_of(self._new, source) != definition_of(self._old, before)

    def _source(self, name: str) -> Iterator[str]:
        if name in self._reread:
            source = self._new.source(name)
            records = self._usage.records(source.topic)
            amount = f", {records.text('record', 'records')} so far" if records.count else ""
            views = ", ".join(view.name for view in self._new.views_of(name))
            yield f"topic {source.topic} is read from its beginning{amount}, to compute {views}"
            if any(self._usage.rows(view).count for view in self._old.views_of(name)):
                yield "until that is done their rows go back to earlier values"

    def _stream_view(self, name: str) -> Iterator[str]:
        before, after = _find(self._old.stream_views, name), _find(self._new.stream_views, name)
        if after is None:
            assert before is not None
            yield from self._left_behind(before)
        elif after.source in self._reread:
            yield from self._rewritten(before)
            if added := self._new_features(before, after):
                topic = self._new.source(after.source).topic
                yield (
                    f"backfill needed: {', '.join(added)}; online and in the feature log as far "
                    f"back as topic {topic} goes"
                )
        yield from self._affected(name, before, after)

    def _batch_view(self, name: str) -> Iterator[str]:
        before, after = _find(self._old.batch_views, name), _find(self._new.batch_views, name)
        if after is None:
            assert before is not None
            yield from self._left_behind(before)
        elif before is None or self._new_features(before, after) or before.join_keys != after.join_keys:
            yield from self._rewritten(before)
            yield "backfill needed: run `headrace materialize`, which writes the latest row of every entity"
        yield from self._affected(name, before, after)

    def _on_demand_view(self, name: str) -> Iterator[str]:
        before, after = _find(self._old.on_demand_views, name), _find(self._new.on_demand_views, name)
        if before and after and (before.definition, before.file) != (after.definition, after.file):
            yield f"clients that compute it need {after.file} as it is now, and are refused with another"

    def _rewritten(self, before: StreamViewSpec | BatchViewSpec | None) -> Iterator[str]:
        if before is not None:
            yield f"{self._usage.rows(before).text('row', 'rows')} in Redis to rewrite"

    def _left_behind(self, view: StreamViewSpec | BatchViewSpec) -> Iterator[str]:
        if (rows := self._usage.rows(view)).count:
            yield f"{rows.text('row', 'rows')} left in Redis, read by nobody"

    def _new_features(self, before: Spec | None, after: Spec) -> list[str]:
        """Features that are added or changed."""
        old = _features(before)
        return [name for name, spec in _features(after).items() if old.get(name) != spec]

    def _affected(self, name: str, before: Spec | None, after: Spec | None) -> Iterator[str]:
        """Learners of either plan that read features of a view that change."""
        old, new = _features(before), _features(after)
        changed = [feature for feature in old.keys() | new.keys() if old.get(feature) != new.get(feature)]
        refs = [FeatureRef(view=name, feature=feature) for feature in changed]
        learners = {name for plan in (self._old, self._new) for name in consumers_of(plan, refs).learners}
        if learners:
            yield f"learners affected: {', '.join(sorted(learners))}"

    def _learner(self, name: str) -> Iterator[str]:
        before, after = _find(self._old.learners, name), _find(self._new.learners, name)
        if after is None:
            yield "its versions stay in the model store"
        elif before is None or before.definition != after.definition:
            yield from self._training(before, name)

    def _training(self, before: LearnerSpec | None, name: str) -> Iterator[str]:
        router = next((router for router in self._new.routers if name in router.arms), None)
        if router is None:
            yield "no router has it as an arm, so it learns nothing"
            return
        examples = max(self._usage.examples(arm).count for arm in router.arms)
        amount = f", {Amount(examples).text('record', 'records')} so far" if examples else ""
        begins = "a new major version begins and learns" if before else "it learns"
        yield f"{begins} the examples of router {router.name} from the first one{amount}"
        if examples and (router_before := _find(self._old.routers, router.name)):
            served = set(self._old.router_features(router_before))
            lacking = [
                ref
                for ref in self._new.router_features(router)
                if ref not in served and self._reads(name, ref)
            ]
            if lacking:
                names = ", ".join(ref.text for ref in lacking)
                yield f"the examples so far were served without {names}"

    def _reads(self, learner: str, ref: FeatureRef) -> bool:
        service = self._new.learner(learner).service
        return service is not None and ref in self._new.service(service).features

    def _router(self, name: str) -> Iterator[str]:
        before, after = _find(self._old.routers, name), _find(self._new.routers, name)
        if before and after:
            changed = [f for f in _EPOCHS_FOLLOW_FROM if getattr(before, f) != getattr(after, f)]
            if changed:
                yield f"its epochs are computed again from the first closing, by another {', '.join(changed)}"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_NamedSpec = TypeVar("_NamedSpec", bound=_Named)


def _find(specs: Sequence[_NamedSpec], name: str) -> _NamedSpec | None:
    return next((spec for spec in specs if spec.name == name), None)


def _features(view: Spec | None) -> dict[str, object]:
    """Definitions of the features of a view; the udf of the view is part of each."""
    if isinstance(view, StreamViewSpec):
        return {aggregation.feature: (aggregation, view.udf) for aggregation in view.aggregations}
    return {f.name: f for f in view.features} if isinstance(view, BatchViewSpec) else {}
