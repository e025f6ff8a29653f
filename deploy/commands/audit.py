"""`headrace audit`: reads raw logs and predictions from Kafka, and renders the report."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from headrace.deploy.commands.dataset import read_predictions
from headrace.deploy.udfs import functions_of
from headrace.featurestore.audit.audit import Audit
from headrace.featurestore.audit.comparison import OUTCOMES
from headrace.featurestore.audit.log_prefixes import BlockOffsets, SourceLog, block_offsets
from headrace.featurestore.audit.raw_events import raw_table
from headrace.featurestore.audit.report import AuditReport
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import partition_count
from headrace.streams.connections.schema_registry import RegistryAccess
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import LogRecords
from headrace.streams.progress import TWO_PARTITIONS_REMEDY
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.streams.state.fingerprint import definition_of

_RANGE_RECORDS = 10_000  # decoded at once


def audit(
    kafka: Kafka,
    plan: Plan,
    router: str,
    sample: int,
    seed: int = 0,
    repo_dir: Path | None = None,
    registry: RegistryAccess | None = None,
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
        Number of predictions, drawn at random.
    seed
        Of the draw.
    repo_dir
        The Feast repository, for the functions of on-demand views and udfs; None where there are none.
    registry
        Where workers find writer schemas that the plan lacks.

    Raises
    ------
    ServiceUnavailable
        When Kafka or the registry does not answer.
    """
    schemas = RegistryLookup(registry)
    # First the predictions: the log then has all that they had seen.
    predictions = read_predictions(kafka, plan, plan.router(router))
    used = {ref.view for ref in plan.stored(plan.router_features(plan.router(router)))}
    sources = {view.source for view in plan.stream_views if view.name in used}
    logs = {name: _source_log(kafka, plan, plan.source(name), schemas) for name in sorted(sources)}
    # Of all views of the sources: a record that one udf fails on is dead for every view of its topic.
    views = [view for name in sources for view in plan.views_of(name)]
    udfs = functions_of(plan, views, repo_dir)
    return Audit(plan, router, logs, udfs=udfs, repo_dir=repo_dir).run(predictions, sample, seed)


def _source_log(kafka: Kafka, plan: Plan, source: SourceSpec, schemas: RegistryLookup) -> SourceLog:
    blocks = list(_blocks(kafka, plan, source)) if source.shards else []
    return SourceLog(raw_table(plan, source, _ranges(kafka, source.topic), schemas.supply), blocks)


def _blocks(kafka: Kafka, plan: Plan, source: SourceSpec) -> Iterator[BlockOffsets]:
    """Yield the source offsets of the blocks in the shuffle topic that were made for the plan's views."""
    topic, definition = plan.topics.source(source.name).shuffle, definition_of(plan, source)
    for shard in range(partition_count(kafka, topic)):
        for message in read_log(kafka, topic, shard):
            block = block_offsets(shard, message.offset(), message.value(), definition)
            if block is not None:
                yield block


def _ranges(kafka: Kafka, topic: str) -> Iterator[tuple[int, LogRecords]]:
    for partition in range(partition_count(kafka, topic)):
        messages = read_log(kafka, topic, partition)
        while consecutive := [*islice(messages, _RANGE_RECORDS)]:
            yield partition, LogRecords.of_messages(consecutive)


def render(report: AuditReport) -> str:
    """Render a line for each feature, then the values that differ or are missing."""
    lines = [f"{'feature':52}" + "".join(f"{outcome:>11}" for outcome in OUTCOMES)]
    for name, outcomes in sorted(report.counts.items()):
        lines.append(f"{name:52}" + "".join(f"{outcomes[outcome]:11,}" for outcome in OUTCOMES))
    for example in report.examples:
        values = f"served {example.served!r}, recomputed {example.recomputed!r}"
        lines.append(f"{example.outcome}: {example.feature} of prediction {example.prediction_id}: {values}")
    for source, counts in sorted(report.records.items()):
        shown = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        lines.append(f"records of source '{source}': {shown}")
    for source, rows in sorted(report.elsewhere.items()):
        lines.append(
            f"{rows:,} rows of source '{source}' are of a key that is in two partitions, and have one"
        )
        lines.append(f"of them. {TWO_PARTITIONS_REMEDY}")
    return "\n".join([*lines, summary(report)])


def summary(report: AuditReport) -> str:
    """Say in one line how many values were equal, different and missing."""
    totals = ", ".join(f"{report.total(outcome):,} {outcome}" for outcome in OUTCOMES[:3])
    return f"audit of {report.predictions:,} predictions: {totals}"
