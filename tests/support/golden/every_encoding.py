"""Every persisted encoding with its golden bytes; named after the module that it pins."""

from __future__ import annotations

from headrace.featurestore.backfill import blocks, state
from headrace.featurestore.plans import store as plans
from headrace.featurestore.redis_codec import layout
from headrace.learners.models import metrics as model_metrics
from headrace.learners.models import operations, pointers, versions
from headrace.learners.models import store as model_store
from headrace.learners.routing import epochs
from headrace.learners.training import changelog as training_changelog
from headrace.learners.training import learner_state
from headrace.schemas.plan import PLAN
from headrace.streams.join import changelog, outcome_reader
from headrace.streams.progress import processes
from headrace.streams.progress import record as progress
from headrace.streams.state import partition, shuffle
from tests.support.golden import join_states as join
from tests.support.golden import model_states as models
from tests.support.golden import store_states as store
from tests.support.golden import stream_states as stream
from tests.support.golden.golden_file import Golden

UNWRITTEN = 1  # of an encoding without a version in its bytes: docs/decisions/0019-persisted-encodings.md

GOLDEN: dict[str, Golden] = {
    "state.partition": Golden(partition.POSITION.version, stream.write_partition, stream.read_partition),
    "state.shard": Golden(partition.POSITION.version, stream.write_shard, stream.read_shard),
    "state.shuffle": Golden(
        shuffle.BLOCK.version, stream.write_block, stream.read_block, stream.newer_blocks
    ),
    "join.outcome_reader": Golden(outcome_reader.STATE.version, stream.write_outcomes, stream.read_outcomes),
    "progress": Golden(progress.VERSION, stream.write_progress, stream.read_progress, newer=None),
    "progress.processes": Golden(processes.VERSION, stream.write_process, stream.read_process, newer=None),
    "marks": Golden(UNWRITTEN, stream.write_marks, stream.read_marks, newer=None),
    "join.changelog.position": Golden(changelog.POSITIONS.version, join.write_position, join.read_position),
    "join.changelog.keys": Golden(changelog.KEYS.version, join.write_keys, join.read_keys),
    "records": Golden(UNWRITTEN, join.write_records, join.read_records, newer=None),
    "routing.epochs": Golden(epochs.STATE.version, models.write_epochs, models.read_epochs),
    "models.store.artifact": Golden(
        model_store.ARTIFACT.version, models.write_artifact, models.read_artifact, models.newer_artifact
    ),
    "models.versions": Golden(versions.VERSION.version, models.write_versions, models.read_versions),
    "training.changelog": Golden(learner_state.NEWEST.version, models.write_changelog, models.read_changelog),
    "training.learner_state": Golden(
        learner_state.NEWEST.version, models.write_learner_state, models.read_learner_state
    ),
    "training.steering": Golden(
        learner_state.NEWEST.version, models.write_steering, models.read_learner_state
    ),
    "training.inputs": Golden(training_changelog.INPUTS.version, models.write_inputs, models.read_inputs),
    "training.operations": Golden(
        training_changelog.OPERATIONS.version, models.write_position, models.read_position
    ),
    "models.operations": Golden(operations.OPERATION.version, models.write_operation, models.read_operation),
    "training.memory": Golden(model_metrics.METRICS.version, models.write_memory, models.read_memory),
    "models.pointers": Golden(pointers.POINTER.version, models.write_pointer, models.read_pointer),
    "models.pointers.epoch": Golden(
        pointers.EPOCH.version, models.write_epoch_in_force, models.read_epoch_in_force
    ),
    "plan.signature": Golden(plans.SIGNATURE.version, store.write_signature, store.read_signature),
    "plan": Golden(PLAN.version, store.write_plan, store.read_plan),
    "backfill.state": Golden(
        state.FILE.version,
        store.write_backfill,
        store.read_backfill,
        store.newer_parquet,
        store.parquet_content,
    ),
    "backfill.blocks": Golden(
        blocks.FILE.version,
        store.write_blocks,
        store.read_blocks,
        store.newer_parquet,
        store.parquet_content,
    ),
    "offline.feature_log": Golden(UNWRITTEN, store.write_feature_log, store.read_feature_log, newer=None),
    "join.example_archive": Golden(UNWRITTEN, store.write_archive, store.read_archive, newer=None),
    "redis_codec.provenance": Golden(
        layout.PROVENANCE_VERSION, store.write_provenance, store.read_provenance, newer=None
    ),
}
