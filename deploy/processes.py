"""The composition root: builds each process and its configuration from the settings, and runs it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import redis

from headrace.deploy.logs import begin_log
from headrace.deploy.plan_wait import PlanWait
from headrace.deploy.secret_files import exposed_secrets
from headrace.deploy.settings import Settings
from headrace.deploy.udfs import transforms_of
from headrace.featurestore.plans.store import PlanStore
from headrace.learners.feature_server.config import FeatureServerConfig
from headrace.learners.serving.config import HttpLimits, ServeConfig
from headrace.learners.training.config import TrainConfig
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka_admin import refuse_wrong_access
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_eviction import eviction_warning
from headrace.streams.join.config import JoinConfig
from headrace.streams.progress import ProcessRegistry
from headrace.streams.runtime.config import ConsumerConfig, FaustConfig
from headrace.streams.runtime.internal_topics import Process
from headrace.streams.runtime.plan_watch import EXIT_REPLACED, PlanWatch
from headrace.streams.worker.config import WorkerConfig

if TYPE_CHECKING:
    from headrace.learners.models.store import ModelStore
    from headrace.learners.project import Project
    from headrace.streams.connections.schema_registry import RegistryAccess

_WATCH_S = 5.0  # how long Redis may take to tell the plan in force
_ANSWERING = ("serve", "features")  # of which some are always to be there
_SETTLE_S = 2.0  # how long a range in hand may hold a checkpoint up


def current_plan(settings: Settings) -> tuple[redis.Redis, Plan]:
    """Return a Redis client and the plan in force.

    Raises
    ------
    PlanError
        When no plan was applied, or not one that the key for plans has signed.
    ServiceUnavailable
        When Redis cannot be reached.
    """
    with _redis_named():
        client = redis_client(settings.redis)
        return client, PlanStore(client, settings.project_name, settings.plan_signing_key()).load()


@contextmanager
def _redis_named() -> Iterator[None]:
    try:
        yield
    except ServiceUnavailable as error:
        raise ServiceUnavailable(f"{error}; does Redis run, and is HEADRACE_REDIS its URL?") from error


def run_worker(settings: Settings) -> None:
    """Compute stream features from event topics into the online store, until SIGTERM."""
    import uvloop

    from headrace.featurestore.offline.feature_log import ParquetFeatureLog
    from headrace.featurestore.online.writer import RedisOnlineSink
    from headrace.streams.worker.process import WorkerProcess

    plan, wait = _begin(settings, "worker")
    with wait.until_it_fits(plan):
        transforms = transforms_of(plan, plan.stream_views, settings.project_dir)
    sink = RedisOnlineSink(settings.redis, plan)
    feature_log = ParquetFeatureLog(settings.feature_log_dir, plan) if settings.feature_log else None
    uvloop.install()
    config = worker_config(settings)
    with _plan_watch(settings, plan, "worker") as watch:
        WorkerProcess(plan, settings.kafka_access, sink, feature_log, transforms, config, watch).run()


def run_join(settings: Settings) -> None:
    """Join predictions and outcomes into training examples, until SIGTERM."""
    import uvloop

    from headrace.streams.join.process import JoinProcess

    plan, _ = _begin(settings, "join")
    uvloop.install()
    with _plan_watch(settings, plan, "join") as watch:
        JoinProcess(plan, settings.kafka_access, settings.redis, join_config(settings), watch).run()


def run_train(settings: Settings) -> None:
    """Train models on examples, and publish versions and routing epochs, until SIGTERM."""
    from headrace.learners.training.process import TrainProcess

    plan, wait = _begin(settings, "train")
    store, project = _models(settings)
    config = train_config(settings)
    with _plan_watch(settings, plan, "train") as watch:
        with wait.until_it_fits(plan):
            process = TrainProcess(plan, settings.kafka_access, settings.redis, store, project, config, watch)
        process.run()


def run_serve(settings: Settings) -> None:
    """Answer prediction requests over HTTP, until SIGTERM."""
    from headrace.learners.serving.process import ServeProcess

    plan, wait = _begin(settings, "serve")
    store, project = _models(settings)
    config = serve_config(settings)
    with _plan_watch(settings, plan, "serve") as watch:
        with wait.until_it_fits(plan):
            process = ServeProcess(plan, settings.kafka_access, settings.redis, store, project, config, watch)
        process.run()


def run_features(settings: Settings) -> None:
    """Answer feature requests over HTTP, until SIGTERM. Kafka is not needed."""
    from headrace.learners.feature_server.process import FeatureServer

    plan, wait = _begin(settings, "features")
    config = features_config(settings)
    with _plan_watch(settings, plan, "features") as watch:
        with wait.until_it_fits(plan):
            process = FeatureServer(plan, settings.redis, settings.project_dir, config, watch)
        process.run()


def worker_config(settings: Settings) -> WorkerConfig:
    return WorkerConfig(
        **vars(_faust_config(settings)), checkpoint_ms=settings.checkpoint_ms, idle_ms=settings.idle_ms
    )


def join_config(settings: Settings) -> JoinConfig:
    return JoinConfig(
        **vars(_faust_config(settings)),
        idle_ms=settings.idle_ms,
        parked=settings.join_parked,
        per_key=settings.join_per_key,
        orphan_letters=settings.orphan_letters,
        archive=settings.examples_dir,
    )


def train_config(settings: Settings) -> TrainConfig:
    return TrainConfig(**vars(_consumer_config(settings)), publish_every_s=settings.publish_every_s)


def serve_config(settings: Settings) -> ServeConfig:
    return ServeConfig(
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        limits=_http_limits(settings),
        drain_s=settings.drain_s,
        operate_tokens=settings.tokens_of_operators,
    )


def features_config(settings: Settings) -> FeatureServerConfig:
    return FeatureServerConfig(
        host=settings.host,
        port=settings.features_port,
        log_level=settings.log_level,
        limits=_http_limits(settings),
        drain_s=settings.drain_s,
        tokens=settings.tokens_of_features,
        push_tokens=settings.tokens_of_pushes,
    )


def _http_limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        max_body_bytes=settings.max_body_bytes,
        request_timeout_s=settings.request_timeout_s,
        max_connections=settings.max_connections,
        allowed_hosts=settings.host_names,
    )


def _faust_config(settings: Settings) -> FaustConfig:
    return FaustConfig(
        **vars(_consumer_config(settings)),
        log_level=settings.log_level,
        schema_registry=registry_access(settings),
    )


def _consumer_config(settings: Settings) -> ConsumerConfig:
    return ConsumerConfig(
        fetch_wait_ms=settings.fetch_wait_ms,
        metrics_host=settings.host,
        metrics_port=settings.metrics_port,
        allowed_hosts=settings.host_names,
        stuck_s=settings.stuck_s,
        session_timeout_ms=settings.session_timeout_ms,
    )


def _models(settings: Settings) -> tuple[ModelStore, Project]:
    from headrace.learners.models.store import ModelStore
    from headrace.learners.project import load_project

    return ModelStore(settings.models_dir, settings.signing_key()), load_project(settings.project_dir)


def run_materialize(
    settings: Settings,
    end: datetime | None,
    incremental: bool = False,
    overlap: timedelta = timedelta(0),
) -> dict[str, int]:
    """Write the latest rows of batch views to the online store.

    Parameters
    ----------
    end
        Rows up to this time, aware; None for now.
    incremental
        Only rows from where the last run ended on,
    overlap
        and from so long before that.

    Returns
    -------
    dict
        View to the number of rows written.
    """
    from headrace.featurestore.batch.materialize import materialize

    _, plan = current_plan(settings)
    moment = end or datetime.now(UTC)
    return materialize(settings.project_dir, plan, settings.redis, moment, incremental, overlap)


def run_rebuild(settings: Settings, report: Callable[[str], None]) -> dict[str, int]:
    """Write the rows that the online store lacks: of stream views from the changelogs, of batch views from
    their tables.

    Parameters
    ----------
    report
        Called with lines that say how far the rebuild is.

    Returns
    -------
    dict
        Rows of stream views that were ``missing``, ``older`` or ``current``, and those ``materialized``.
    """
    _, plan = current_plan(settings)
    written = rebuild_stream_rows(settings, plan, report)
    if plan.batch_views:
        written["materialized"] = sum(run_materialize(settings, None).values())
    return written


def rebuild_stream_rows(settings: Settings, plan: Plan, report: Callable[[str], None]) -> dict[str, int]:
    """Write the rows of stream views that the online store lacks; see `run_rebuild`."""
    from headrace.featurestore.online.rebuild import RedisRebuildStore
    from headrace.streams.worker.rebuild import Rebuild

    store = RedisRebuildStore(settings.redis, plan)
    settle_s = 2 * settings.checkpoint_ms / 1000 + _SETTLE_S
    return dict(Rebuild(plan, settings.kafka_access, store, settle_s, settings.idle_ms, report).run())


@contextmanager
def _plan_watch(settings: Settings, plan: Plan, kind: Process) -> Iterator[PlanWatch]:
    """Watch the plan while a process runs in the block.

    Raises
    ------
    SystemExit
        With `EXIT_REPLACED`, when the process has ended because its plan is not in force any more.
    """
    client = redis_client(settings.redis, _WATCH_S)
    plans = PlanStore(client, plan.project, settings.plan_signing_key())
    registry = ProcessRegistry(client, plan.project)
    watch = PlanWatch(
        kind, plan.hash, plans, registry, settings.follow_plan, kind in _ANSWERING, settings.drain_s
    )
    try:
        yield watch
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        watch.stop()
    if watch.has_ended:
        raise SystemExit(EXIT_REPLACED)


def _begin(settings: Settings, kind: Process) -> tuple[Plan, PlanWait]:
    """Check what a process lives by, and return its plan, with what waits for a plan that fits."""
    _collect_rarely()
    begin_log(settings.log_level)
    for warning in exposed_secrets(settings):
        logging.getLogger(__name__).warning(warning)
    if (evicts := eviction_warning(settings.redis)) is not None:
        logging.getLogger(__name__).warning(evicts)
    if kind != "features":  # which reads rows alone
        settings.make_data_dir()
        refuse_wrong_access(settings.kafka_access)
    wait = PlanWait(
        settings, kind, PlanStore(settings.redis, settings.project_name, settings.plan_signing_key())
    )
    with _redis_named():
        plan = wait.plan()
    logging.getLogger(__name__).info("project '%s', plan %s", plan.project, plan.hash[:12])
    return plan, wait


def _collect_rarely() -> None:
    """Make the garbage collector run rarely.

    Models and windows are many objects without cycles: looking through them as often as Python does by
    default took a tenth of the CPU time of these processes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def registry_access(settings: Settings) -> RegistryAccess | None:
    """Return how to ask the schema registry; None where there is none."""
    from headrace.streams.connections.schema_registry import RegistryAccess

    if settings.schema_registry is None:
        return None
    token = settings.schema_registry_token
    return RegistryAccess(
        settings.schema_registry, token.get_secret_value() if token else None, settings.schema_registry_ca
    )
