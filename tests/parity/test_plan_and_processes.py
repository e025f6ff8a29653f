"""What `plan` says of a change, against what the processes then do: each field of each definition."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.batch.progress import MaterializationProgress
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.featurestore.plans.report import report
from headrace.featurestore.plans.stored_things import Named, consequences
from headrace.featurestore.plans.usage import Amount, NoUsage
from headrace.featurestore.redis_codec.layout import key_prefix
from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.training.learner_state import DefinitionVersions, LearnerState
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.schemas.follows_from import EVERYTHING, FOLLOWS_FROM, StoredThing
from headrace.schemas.plan import Plan
from headrace.schemas.spec import Spec
from headrace.streams.intake.udf import Transformed
from headrace.streams.log.records import LogRecords
from headrace.streams.state.source_partition import SourcePartition
from tests.support.every_definition import FieldChange, every_definition, field_changes
from tests.support.purchase_record import record

_ARTIFACT = (NamedArtifact("1.0", ""),)
END = datetime(2026, 12, 1, tzinfo=UTC)
EVENTS = [record(offset, 1000 + offset, amount=float(offset % 2)) for offset in range(5)]
# How `plan` says of a stored thing that it is not kept.
WORDS: Mapping[StoredThing, tuple[str, ...]] = {
    "state": ("is read from its beginning",),
    "online rows": ("in Redis to rewrite", "are not found by the new keys until `headrace rebuild`"),
    "feature log": ("begins anew: what is in it",),
    "materialised rows": ("`headrace materialize`",),
    "model versions": ("a new major version begins and learns",),
    "epochs": ("its epochs are computed again from the first closing",),
}


class Full(NoUsage):
    """There is something of everything."""

    def rows(self, view: Any) -> Amount:
        return Amount(3)

    def records(self, topic: str) -> Amount:
        return Amount(5)

    def examples(self, learner: str) -> Amount:
        return Amount(7)


class Identity:
    """A udf that is not asked what it computes."""

    name = "identity"

    def apply(self, offsets: Any, columns: Mapping[str, Any]) -> Transformed:
        many = len(offsets)
        whole = columns.get("items") or (np.zeros(many, np.int64), np.ones(many, bool))
        names = ("items", "amount", "twice", "thrice", "more")
        return Transformed(np.arange(many), {name: columns.get(name) or whole for name in names})


UDFS = {"by_shop": Identity(), "by_user": Identity()}


def specs(spec: type[Spec]) -> Iterator[type[Spec]]:
    """A definition, and those that are parts of it."""
    yield spec
    for field in spec.model_fields.values():
        for part in _classes(field.annotation):
            yield from specs(part)


def _classes(annotation: Any) -> Iterator[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _classes(argument)


def test_every_field_of_every_definition_says_what_follows_from_it() -> None:
    declared = {spec: set(fields) for spec, fields in FOLLOWS_FROM.items()}
    assert declared == {spec: set(spec.model_fields) for spec in specs(Plan)}
    assert set(WORDS) | {"backfill"} == EVERYTHING, "a backfill is told by the state that it makes"


class Processes:
    """What the processes of a plan have stored, and what those of another take up of it."""

    def __init__(self, plan: Plan, folder: Path, redis_url: str) -> None:
        self._plan, self._folder, self._redis_url = plan, folder, redis_url
        self._changelog = self._worker(plan)
        (view, *_) = plan.batch_views
        progress = MaterializationProgress(redis_url, plan)
        progress.write(view, END)
        progress.close()
        router = plan.routers[0]
        self._versions = {
            name: DefinitionVersions(plan.learner(name).definition, router.name, 1, 0, 0, True, _ARTIFACT)
            for name in ("tree", "line")
        }
        self._epochs = EpochKeeper(router, plan.hash, router.partitions).to_json()

    def _worker(self, plan: Plan) -> list[Any]:
        state = SourcePartition(plan, plan.sources[0], 0, UDFS)
        effects = state.process(LogRecords.of(EVENTS))
        log = ParquetFeatureLog(self._folder / "log", plan)
        for rows in effects.rows:
            log.append(rows)
        log.flush()
        for view in ("by_user", "by_shop"):
            work = self._backfill(plan, view)
            assert list(work.run(EVENTS)) == [len(EVENTS)]
        return state.snapshot()

    def _backfill(self, plan: Plan, view: str) -> PartitionBackfill:
        folder = self._folder / "backfill" / view
        return PartitionBackfill(plan, view, 0, self._folder / "other-log", folder, Span(), UDFS)

    def kept(self, plan: Plan) -> dict[Named, bool]:
        """Whether processes of a plan go on from what is stored, by stored thing."""
        kept: dict[Named, bool] = {}
        for source in plan.sources:
            if views := plan.views_of(source.name):
                state = SourcePartition(plan, source, 0, UDFS)
                state.restore(self._changelog)
                goes_on = state.next_offset == len(EVENTS)
                kept["state", source.name] = goes_on
                for view in views:
                    prefixes = {
                        key_prefix([key.name for key in view.join_keys], each.online.key_version)
                        for each in (self._plan, plan)
                    }
                    kept["online rows", view.name] = goes_on and len(prefixes) == 1
                    kept["backfill", view.name] = self._backfill(plan, view.name).position == len(EVENTS)
        kept |= self._logs(plan)
        progress = MaterializationProgress(self._redis_url, plan)
        kept |= {("materialised rows", v.name): progress.read(v) is not None for v in plan.batch_views}
        progress.close()
        router = plan.routers[0]
        for name, versions in self._versions.items():
            state = LearnerState((versions,), 1, 1)
            is_kept = state.of(plan.learner(name).definition, router.name) is not None
            kept["model versions", name] = is_kept
        keeper = EpochKeeper(router, plan.hash, router.partitions)
        return kept | {("epochs", router.name): self._goes_on(keeper)}

    def _goes_on(self, keeper: EpochKeeper) -> bool:
        """Whether evidence is gone on from; the next epoch may be another."""
        keeper.restore(self._epochs)
        return keeper.era == 0

    def _logs(self, plan: Plan) -> dict[Named, bool]:
        """Open the log as the workers of a plan do, then again as those of the one before."""
        folder = self._folder / "log"
        before = _files(folder)
        ParquetFeatureLog(folder, plan)
        after = _files(folder)
        ParquetFeatureLog(folder, self._plan)
        assert before <= _files(folder), "the rows are back with their definition"
        return {
            ("feature log", view.name): {f for f in before if f.parent.parent.name == view.name} <= after
            for view in plan.stream_views
        }


def _files(log: Path) -> set[Path]:
    return {file for view in ("by_user", "by_shop") for file in log.glob(f"{view}/*/*.parquet")}


def test_a_change_of_any_field_does_what_plan_says(tmp_path: Path, redis_url: str, project: str) -> None:
    plan = every_definition(project)
    processes = Processes(plan, tmp_path, redis_url)
    assert all(processes.kept(plan).values())
    changes = list(field_changes(plan))
    assert len(changes) > 100
    for change in changes:
        _check(plan, change, processes.kept(change.plan))


def _check(plan: Plan, change: FieldChange, kept: Mapping[Named, bool]) -> None:
    found = consequences(plan, change.plan)
    assert not (found.begun or found.left) or change.name.startswith("stream_views"), change.name
    told = {thing: thing in found.kept for thing in kept}
    assert told == kept, f"{change.name}: told (first) and done"
    anew = {thing for thing, _ in found.anew | found.begun}
    assert anew == change.declared, f"{change.name}: compared (first) and declared"
    text = report(plan, change.plan, Full())
    assert text != "nothing would change", change.name
    for thing, words in WORDS.items():
        assert any(word in text for word in words) == (thing in anew), f"{change.name}: {thing}\n{text}"
