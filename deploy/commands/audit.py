"""`headrace audit`: the raw logs and the predictions out of Kafka, and the report in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import FunctionType

from headrace.deploy.commands.dataset import read_predictions
from headrace.deploy.udfs import udf_repository
from headrace.featurestore.audit.audit import Audit, AuditReport, SourceLog
from headrace.featurestore.audit.raw_events import RawRecord, heard_of_block, raw_table
from headrace.schemas import topics
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import partition_count, read_log
from headrace.streams.state.fingerprint import definition_of


def audit(
    kafka: Kafka, plan: Plan, router: str, sample: int, seed: int = 0, repo_dir: Path | None = None
) -> AuditReport:
    """Audit a sample of the predictions of a router against the event topics in Kafka.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    plan
        The plan in force.
    router
        Whose predictions.
    sample
        How many of them.
    seed
        Of the sample.
    repo_dir
        The Feast repository, which has the functions of on-demand views and udfs; needed for those alone.
    """
    # First the predictions: the log then has all that they had seen.
    predictions = read_predictions(kafka, plan, plan.router(router))
    used = {ref.view for ref in plan.stored(plan.router_features(plan.router(router)))}
    sources = {view.source for view in plan.stream_views if view.name in used}
    logs = {name: _source_log(kafka, plan, plan.source(name)) for name in sorted(sources)}
    udfs = _udfs(plan, sources, repo_dir)
    return Audit(plan, router, logs, udfs=udfs, repo_dir=repo_dir).run(predictions, sample, seed)


def _udfs(plan: Plan, sources: Collection[str], repo_dir: Path | None) -> dict[str, FunctionType]:
    """Those of all views of the sources: what one of them fails on is dead for every view of its topic."""
    repository = udf_repository((view for name in sources for view in plan.views_of(name)), repo_dir)
    if repository is None:
        return {}
    from headrace.featurestore.udfs.loading import udf_functions

    return udf_functions(repository, plan)


def _source_log(kafka: Kafka, plan: Plan, source: SourceSpec) -> SourceLog:
    heard = []
    if source.shards:
        topic, definition = topics.shuffle(plan.project, source.name), definition_of(plan, source)
        for shard in range(partition_count(kafka, topic)):
            for message in read_log(kafka, topic, shard):
                if (found := heard_of_block(message.value(), definition)) is not None:
                    heard.append((shard, message.offset(), *found))
    return SourceLog(raw_table(plan, source, _records(kafka, source.topic)), heard)


def _records(kafka: Kafka, topic: str) -> Iterator[RawRecord]:
    for partition in range(partition_count(kafka, topic)):
        for message in read_log(kafka, topic, partition):
            yield partition, message.offset(), message.timestamp()[1], message.value(), message.headers()


def render(report: AuditReport) -> str:
    """A line for each feature, then what was found wrong."""
    kinds = ("equal", "different", "missing", "unchecked")
    lines = [f"{'feature':52}" + "".join(f"{kind:>11}" for kind in kinds)]
    for name, counts in sorted(report.counts.items()):
        lines.append(f"{name:52}" + "".join(f"{counts[kind]:11,}" for kind in kinds))
    for one in report.examples:
        told = f"served {one.served!r}, recomputed {one.recomputed!r}"
        lines.append(f"{one.kind}: {one.feature} of prediction {one.prediction_id}: {told}")
    return "\n".join([*lines, summary(report)])


def summary(report: AuditReport) -> str:
    """One line."""
    total = {kind: sum(c[kind] for c in report.counts.values()) for kind in ("equal", "different", "missing")}
    told = ", ".join(f"{count:,} {kind}" for kind, count in total.items())
    return f"audit of {report.predictions:,} predictions: {told}"
