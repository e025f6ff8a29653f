"""`headrace dataset`: finds the inputs of a training set, and writes its file."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from headrace.deploy.processes import current_plan
from headrace.deploy.settings import Settings
from headrace.featurestore.offline.entities import join_keys_of, read_entities, request_fields_of
from headrace.featurestore.offline.event_time_dataset import as_of_event_time
from headrace.featurestore.offline.parquet_files import write_durably
from headrace.featurestore.offline.served_dataset import as_served, router_of, served_names
from headrace.schemas.errors import RecordError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import partition_count
from headrace.streams.join.example_archive import predictions_table, read_examples
from headrace.streams.join.input import read_prediction
from headrace.streams.log.reader import read_log

_log = logging.getLogger(__name__)


def write_dataset(
    settings: Settings,
    service: str,
    entities: Path,
    output: Path,
    sense: str,
    router: str | None,
    predictions: str,
) -> tuple[int, int]:
    """Write a training set.

    Parameters
    ----------
    service
        The feature service.
    entities
        File of join keys and event times.
    output
        Parquet file to be written.
    sense
        ``event-time`` or ``served``.
    router
        Whose predictions, for ``served``; None for the one that serves the service.
    predictions
        ``archive`` or ``topic``, for ``served``.

    Returns
    -------
    rows
        Number of rows.
    with_features
        Number of rows with a feature that is not null.
    """
    _, plan = current_plan(settings)
    fields = join_keys_of(plan, service)
    if sense == "event-time":
        fields += request_fields_of(plan, service)
    entity_rows = read_entities(entities, fields)
    if sense == "served":
        spec = router_of(plan, service, router)
        features = [each.name for each in served_names(plan, service)]
        wanted = {f"feature.{name}" for name in features} | {f"entity.{name}" for name in spec.entities}
        served = _predictions(settings, plan, spec, predictions, wanted)
        table = as_served(plan, service, entity_rows, spec, served)
    else:
        table = as_of_event_time(plan, service, entity_rows, settings.feature_log_dir, settings.project_dir)
        features = [ref.full_name for ref in plan.service(service).features]
    write_durably(output, table)
    return len(table), _rows_with_a_value(table, features)


def _predictions(
    settings: Settings, plan: Plan, router: RouterSpec, where: str, wanted: Collection[str]
) -> pa.Table:
    if where == "archive":
        return read_examples(settings.examples_dir / router.name, wanted)
    return predictions_table(read_predictions(settings.kafka_access, plan, router), wanted)


def read_predictions(kafka: Kafka, plan: Plan, router: RouterSpec) -> list[Prediction]:
    """Return all predictions in the topic of a router, partition by partition.

    Records that are no predictions are left out, as the join turns them away.
    """
    topic, left_out = plan.topics.router(router.name).predictions, 0
    predictions: list[Prediction] = []
    for partition in range(partition_count(kafka, topic)):
        for message in read_log(kafka, topic, partition):
            try:
                if message.value() is not None:
                    predictions.append(read_prediction(message.value()))
            except RecordError:
                left_out += 1
    if left_out:
        _log.warning("%s: %d records are no predictions, and are left out", topic, left_out)
    return predictions


def _rows_with_a_value(table: pa.Table, names: list[str]) -> int:
    present = pa.array([False] * len(table))
    for name in names:
        present = pc.or_(present, pc.is_valid(table[name]))
    return int(pc.sum(present).as_py() or 0)
