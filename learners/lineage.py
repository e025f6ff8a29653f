"""Lineage of features: sources, transformations and consumers, down to model versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter

import redis

from headrace.featurestore.plans.consumers import consumers_of, with_inputs
from headrace.featurestore.plans.safety import kind_of
from headrace.featurestore.plans.spec_text import aggregation_text
from headrace.featurestore.plans.store import PlanStore
from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.versions import PublishedVersion
from headrace.schemas.errors import PlanError, UnknownNameError
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, OnDemandViewSpec, StreamViewSpec
from headrace.schemas.follows_from import feature_definition
from headrace.schemas.plan import Plan

_DIGEST = 12  # characters of a hash that distinguish it
Stored = StreamViewSpec | BatchViewSpec
View = Stored | OnDemandViewSpec


@dataclass(frozen=True)
class VersionSpan:
    """Published versions in a row, from `first` to `last`.

    >>> print(VersionSpan("1.0", "1.41", 42))
    1.0 to 1.41 (42)
    """

    first: str
    last: str
    count: int

    def __contains__(self, version: str | None) -> bool:
        """Whether a version of the same definition is among them."""
        (major, first), (_, last) = _numbers(self.first), _numbers(self.last)
        return version is not None and (major, first) <= _numbers(version) <= (major, last)

    def __str__(self) -> str:
        return self.first if self.count == 1 else f"{self.first} to {self.last} ({self.count:,})"


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


@dataclass(frozen=True)
class LearnerUse:
    """The use of a feature by a learner.

    Attributes
    ----------
    learner
        Its name.
    in_force
        Whether the learner reads the feature in the plan in force.
    routers
        Routers that have the learner as an arm.
    versions
        Published versions whose plan had the learner read the feature, oldest first.
    otherwise
        Those of them that read it by another definition of its values.
    unknown
        Versions whose plan is not in Redis any more.
    serving
        The version that serves now, when it reads the feature; else None.
    """

    learner: str
    in_force: bool
    routers: tuple[str, ...]
    versions: tuple[VersionSpan, ...]
    otherwise: tuple[VersionSpan, ...]
    unknown: tuple[VersionSpan, ...]
    serving: str | None


@dataclass(frozen=True)
class FeatureLineage:
    """One feature of the plan in force.

    Attributes
    ----------
    name
        ``view:feature``.
    dtype
        Its type, in Feast's words.
    entities
        Join keys.
    owner
        Of the view.
    description, tags
        Of the feature.
    sources
        Topic and fields, table and column, or request field; for a feature computed on demand, those of all
        its inputs.
    transformations
        Steps on the way to the store, in order, then those on demand.
    on_demand
        On-demand views that take the feature as an input.
    services
        Feature services that hold it, or hold an on-demand feature computed from it.
    learners
        Learners that read it through these services, or have versions that did.
    """

    name: str
    dtype: str
    entities: tuple[str, ...]
    owner: str
    description: str
    tags: Mapping[str, str]
    sources: tuple[str, ...]
    transformations: tuple[str, ...]
    on_demand: tuple[str, ...]
    services: tuple[str, ...]
    learners: tuple[LearnerUse, ...]

    @property
    def is_unused(self) -> bool:
        """Whether no feature service reads it."""
        return not self.services


@dataclass
class _Run:
    """Versions of one definition under one plan, one after the other: a month has millions."""

    learner: str
    major: int
    plan_hash: str
    first: int
    last: int

    @property
    def span(self) -> VersionSpan:
        first, last = f"{self.major}.{self.first}", f"{self.major}.{self.last}"
        return VersionSpan(first, last, self.last - self.first + 1)

    @property
    def place(self) -> tuple[str, int, int]:
        return self.learner, self.major, self.first

    def holds(self, version: PublishedVersion) -> bool:
        """Whether a version is in the run, which it may make longer by one."""
        if version.plan_hash != self.plan_hash or not self.first <= version.minor <= self.last + 1:
            return False
        self.last = max(self.last, version.minor)
        return True


def _runs(published: Iterable[PublishedVersion]) -> list[_Run]:
    runs: dict[tuple[str, int], list[_Run]] = {}
    for one in published:
        of_major = runs.setdefault((one.name, one.major), [])
        if not (of_major and of_major[-1].holds(one)):
            of_major.append(_Run(one.name, one.major, one.plan_hash, one.minor, one.minor))
    return sorted((run for of_major in runs.values() for run in of_major), key=lambda run: run.place)


class ModelVersions:
    """Finds the features that published versions of learners read.

    Parameters
    ----------
    client
        Redis, which has the plans that versions were published under, and the pointers to what serves.
    project
        Name of the project.
    published
        All versions, in the order of their records.
    """

    def __init__(self, client: redis.Redis, project: str, published: Iterable[PublishedVersion]) -> None:
        self._plans, self._runs = PlanStore(client, project), _runs(published)
        self._pointers = ModelPointers(client, project)
        self._features_read: dict[tuple[str, str], Mapping[FeatureRef, str] | None] = {}

    def learners(self) -> list[str]:
        """Return the learners that ever published a version."""
        return sorted({run.learner for run in self._runs})

    @cached_property
    def serving(self) -> dict[str, str]:
        """Learner to the version that serves."""
        return {name: pointer.version for name, pointer in self._pointers.serving().items()}

    def inputs(self, learner: str) -> Iterator[tuple[VersionSpan, Mapping[FeatureRef, str] | None]]:
        """Yield the versions, oldest first, with the features they read and the definitions of their values.

        None where their plan is gone.
        """
        for run in self._runs:
            if run.learner != learner:
                continue
            key = (learner, run.plan_hash)
            if key not in self._features_read:
                self._features_read[key] = self._inputs_under(*key)
            yield run.span, self._features_read[key]

    def _inputs_under(self, learner: str, plan_hash: str) -> Mapping[FeatureRef, str] | None:
        try:
            plan = self._plans.load(plan_hash)
            return {ref: feature_definition(plan, ref) for ref in features_of(plan, learner)}
        except (PlanError, UnknownNameError):
            return None


def features_of(plan: Plan, learner: str) -> tuple[FeatureRef, ...]:
    """Return the features that a learner reads, and the stored ones behind those on demand.

    Raises
    ------
    UnknownNameError
        When the plan has no such learner.
    """
    service = plan.learner(learner).service
    return () if service is None else with_inputs(plan, plan.service(service).features)


class Lineage:
    """Traces every feature of a plan.

    Parameters
    ----------
    plan
        The plan in force.
    versions
        Published versions of the learners.
    """

    def __init__(self, plan: Plan, versions: ModelVersions) -> None:
        self._plan, self._versions = plan, versions
        views: tuple[View, ...] = (*plan.stream_views, *plan.batch_views, *plan.on_demand_views)
        self._features = {f"{v.name}:{f.name}": (v, n) for v in views for n, f in enumerate(v.features)}
        self._inputs = {
            name: list(versions.inputs(name))
            for name in sorted({*versions.learners(), *(learner.name for learner in plan.learners)})
        }

    def all(self) -> list[FeatureLineage]:
        """Return the lineage of every feature, in the order of the plan."""
        return [self._of(name) for name in self._features]

    def find(self, name: str) -> list[FeatureLineage]:
        """Return the lineage of features by name.

        Parameters
        ----------
        name
            ``view:feature``, ``view__feature``, a feature of any view, or a view.

        Raises
        ------
        UnknownNameError
            When there is none; names the nearest.
        """
        spellings = {full: {full, full.replace(":", "__"), *full.split(":")} for full in self._features}
        matching = [full for full, names in spellings.items() if name in names]
        if not matching:
            raise UnknownNameError("feature", name, sorted(set().union(*spellings.values())))
        return [self._of(full) for full in matching]

    def _of(self, full: str) -> FeatureLineage:
        view, number = self._features[full]
        feature = view.features[number]
        ref = FeatureRef(view=view.name, feature=feature.name)
        readers = consumers_of(self._plan, [ref])
        described = self._plan.description_of("feature", full)
        of_view = self._plan.description_of(kind_of(view), view.name)
        return FeatureLineage(
            name=full,
            dtype=feature.dtype,
            entities=tuple(
                dict.fromkeys(key.name for stored in self._stored(view) for key in stored.join_keys)
            ),
            owner=of_view.owner,
            description=described.description,
            tags=described.tags,
            sources=tuple(dict.fromkeys(self._sources(view, number))),
            transformations=tuple(self._transformations(view, number)),
            on_demand=tuple(
                each.name
                for each in self._plan.on_demand_views
                if ref in with_inputs(self._plan, each.inputs)
            ),
            services=readers.services,
            learners=tuple(self._uses(ref, readers.learners)),
        )

    def _stored(self, view: View) -> tuple[Stored, ...]:
        """Return the view itself, or the stored views behind an on-demand view."""
        if not isinstance(view, OnDemandViewSpec):
            return (view,)
        return tuple(self._plan.view(name) for name in dict.fromkeys(ref.view for ref in view.inputs))

    def _inputs_of(self, view: OnDemandViewSpec) -> Iterator[tuple[Stored, int]]:
        """Yield each input of an on-demand view: the stored view, and the number of the feature in it."""
        for ref in view.inputs:
            stored = self._plan.view(ref.view)
            yield stored, [feature.name for feature in stored.features].index(ref.feature)

    def _sources(self, view: View, number: int) -> Iterator[str]:
        if isinstance(view, OnDemandViewSpec):
            for stored, position in self._inputs_of(view):
                yield from self._sources(stored, position)
            yield from (f"request, field {field.name}" for field in view.request)
        elif isinstance(view, BatchViewSpec):
            yield f"table {view.table}, column {view.features[number].name}"
        else:
            column = view.aggregations[number].column
            fields = [each.name for each in view.udf.inputs] if view.udf else [column]
            many = "field" if len(fields) == 1 else "fields"
            yield f"topic {self._plan.source(view.source).topic}, {many} {', '.join(fields)}"

    def _transformations(self, view: View, number: int) -> Iterator[str]:
        if isinstance(view, OnDemandViewSpec):
            for stored, position in self._inputs_of(view):
                name = f"{stored.name}:{stored.features[position].name}"
                yield from (f"{name}: {step}" for step in self._transformations(stored, position))
            yield (
                f"on demand by {view.name} of {view.file}, {view.mode}, "
                f"definition {view.definition[:_DIGEST]}, when it is asked for"
            )
        elif isinstance(view, BatchViewSpec):
            yield "the latest row of the entity, by `headrace materialize`"
        else:
            if view.udf:
                given = ", ".join(column.name for column in view.udf.outputs)
                yield f"udf of {view.name}, text {view.udf.digest}{f', gives {given}' if given else ''}"
            yield aggregation_text(view.aggregations[number])

    def _uses(self, ref: FeatureRef, readers: Sequence[str]) -> Iterator[LearnerUse]:
        now = feature_definition(self._plan, ref)
        for learner, inputs in self._inputs.items():
            versions = tuple(_spans((version, read is not None and ref in read) for version, read in inputs))
            if learner not in readers and not versions:
                continue
            serving = self._versions.serving.get(learner)
            reading = [span for span, read in inputs if ref in (read or ())]
            yield LearnerUse(
                learner=learner,
                in_force=learner in readers,
                routers=tuple(r.name for r in self._plan.routers if learner in r.arms),
                versions=versions,
                otherwise=tuple(
                    _spans((version, (read or {}).get(ref, now) != now) for version, read in inputs)
                ),
                unknown=tuple(_spans((version, read is None) for version, read in inputs)),
                serving=serving if any(serving in span for span in reading) else None,
            )


def _spans(versions: Iterable[tuple[VersionSpan, bool]]) -> Iterator[VersionSpan]:
    """Yield runs of versions that are marked True."""
    for marked, run in groupby(versions, key=itemgetter(1)):
        spans = [span for span, _ in run]
        if marked:
            yield VersionSpan(spans[0].first, spans[-1].last, sum(span.count for span in spans))
