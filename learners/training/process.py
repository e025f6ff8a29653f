"""The train process: examples to published models, closings to epochs.

Any number may run. One is the owner; the others stand by, and one of them takes over when it ends or is not
heard of for the session time-out. An owner that goes on after that, without knowing, has no effect: Kafka
refuses its transactions, files that no transaction names are nobody's, and Redis takes nothing older than it
has.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import uuid

from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.project import Project
from headrace.learners.training.changelog import read_state
from headrace.learners.training.config import TrainConfig
from headrace.learners.training.group import train_group
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.operations import BeginAnew
from headrace.learners.training.owned import OwnedTraining, Superseded
from headrace.schemas.errors import DefinitionError, HeadraceError
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin, refuse_missing_topics
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_retry import RedisRetries
from headrace.streams.log.transactions import PartitionsLost, TransactionalProducer
from headrace.streams.runtime.health import PartitionHealth, ProcessHealth, Sample
from headrace.streams.runtime.health_server import watch_process
from headrace.streams.runtime.internal_topics import process_topics
from headrace.streams.runtime.plan_watch import PlanWatch, plan_health
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.sole_owner import Ownership, SoleOwner
from headrace.streams.runtime.topic_checks import check_topic_settings

_log = logging.getLogger(__name__)
_WAIT_S = 0.2
_NEWS_S = 1.0  # how long the group's word on a refused commit is waited for


class TrainProcess:
    """Trains all learners of a project and keeps the epochs of its routers until it is told to stop.

    Parameters
    ----------
    plan
        The plan in force.
    kafka
        How to reach Kafka.
    redis_url
        Where pointers to versions, epochs and progress are published.
    store
        Where artifacts go.
    project
        The loaded ``learners.py``; must define the plan's learners.
    config
        How to run.
    plan_watch
        Looks whether the plan stays in force; None where nobody looks.

    Raises
    ------
    DefinitionError
        When neither the clock nor a router's `publish` would ever publish a version.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        redis_url: str,
        store: ModelStore,
        project: Project,
        config: TrainConfig | None = None,
        plan_watch: PlanWatch | None = None,
    ) -> None:
        self._plan_watch = plan_watch
        self._config = config or TrainConfig()
        _refuse_silence(plan, project, self._config.publish_every_s)
        self._plan, self._kafka, self._store, self._project = plan, kafka, store, project
        self._redis = redis_client(redis_url)
        self._changelog = plan.topics.train_changelog
        timeout_ms, group = self._config.session_timeout_ms, train_group(plan)
        self._owner = SoleOwner(kafka, group, self._changelog, timeout_ms)
        self._producer = TransactionalProducer(kafka, group, timeout_ms)
        self._stopping = threading.Event()
        self._restoring: Restoring | None = None  # while the changelog is read
        self._training: OwnedTraining | None = None  # while this process is the owner
        self._retries = RedisRetries("models and epochs", _log)
        self._stepped_s = time.monotonic()

    def health(self) -> ProcessHealth:
        """Return the health at this moment. Safe to call from any thread.

        A step counts as a checkpoint: at its end everything is published that is due.
        """
        restoring, training = self._restoring, self._training
        partitions = [] if training is None else list(training.health())
        if restoring is not None:
            partitions = [PartitionHealth(self._changelog, 0, None, restoring)]
        is_owner = bool(partitions)
        role = Sample("train_owner", "1: this trainer is the owner; 0: it stands by", {}, float(is_owner))
        return ProcessHealth(
            tuple(partitions),
            is_owner or self._owner.joined,
            time.monotonic() - self._stepped_s,
            "redis" if self._retries.waiting else None,
            (role, *(() if training is None else training.samples())),
            is_standby=not is_owner and self._owner.joined,
            plan=plan_health(self._plan, self._plan_watch),
        )

    def stop(self) -> None:
        """Ask `work` to return; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Block until SIGTERM or SIGINT; what was learned is published first. For the main thread.

        Raises
        ------
        SettingsError
            When the port for metrics cannot be had.
        StateError
            When the settings of a topic lose what is learned from.
        ServiceUnavailable, ModelError, StateError
            As `work`.
        """
        check_topic_settings(self._kafka, process_topics(self._plan, "train"))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        config = self._config
        watch_process(self._kafka, self.health, config)
        if self._plan_watch is not None:
            self._plan_watch.start()
        self.work()

    def work(self) -> None:
        """Learn and publish while this process is the owner, else stand by, until `stop`.

        Raises
        ------
        HeadraceError
            When the plan has no router, or topics are missing.
        ServiceUnavailable
            When Kafka cannot be reached, or has lost what was not yet learned.
        ModelError
            When a learner cannot go on from its newest artifact.
        StateError
            When the topics are not those that models and epochs follow from.
        """
        topics = self._plan.topics
        if not self._plan.routers:
            raise HeadraceError(f"project '{self._plan.project}' has no routers; there is nothing to train")
        refuse_missing_topics(self._kafka, [self._changelog, topics.models, topics.dead_letters])
        self._owner.start()
        stood_by = False
        try:
            while not self._stopping.is_set():
                ownership = self._owner.wait(_WAIT_S)
                self._stepped_s = time.monotonic()
                if ownership is not None:
                    self._own(ownership)
                    stood_by = False
                elif self._owner.joined and not stood_by:
                    _log.warning("another trainer is the owner: standing by to take over")
                    stood_by = True
        finally:
            self._owner.close()

    def _own(self, ownership: Ownership) -> None:
        """Train until `stop`, or until another is the owner."""
        member = ownership.member
        training = None
        try:
            training = self._restored(ownership)
            training.begin()
            self._training, self._restoring = training, None
            _log.info("this trainer is the owner")
            while not self._is_over(ownership):
                training.step()
                self._stepped_s = time.monotonic()
            if not ownership.lost:
                training.finish()
        except BeginAnew:
            _log.warning("a learner begins anew, as an operator has decided")
        except PartitionsLost as error:
            _log.warning("what was learned since the last version is dropped: %s", error)
            self._owner.wait_for_news(member, _NEWS_S)
        except Superseded as error:
            _log.warning("models and epochs are not in force as Redis is away: %s", error.__cause__)
        finally:
            self._training = self._restoring = None
            if training is not None:
                training.close()

    def _is_over(self, ownership: Ownership) -> bool:
        return ownership.lost or self._stopping.is_set()

    def _restored(self, ownership: Ownership) -> OwnedTraining:
        self._restoring = Restoring()
        state = read_state(self._kafka, self._changelog, self._restoring)
        ids = self._topic_ids()
        # Names the log that versions and epochs are of: another once it is made anew.
        state_id = ids.pop(self._changelog, None) or uuid.uuid4().hex
        state.check_inputs(ids)
        log = TrainingLog(self._producer, self._plan.topics, ownership, state.reported)
        if (inputs := {**state.inputs, **ids}) != state.inputs:
            log.bind(inputs)
        pointers = ModelPointers(self._redis, self._plan.project, state_id, self._plan.hash, self._store.key)
        return OwnedTraining(
            self._plan,
            self._kafka,
            self._store,
            self._project,
            self._config,
            state,
            log,
            pointers,
            self._retries,
            lambda: self._is_over(ownership),
        )

    def _topic_ids(self) -> dict[str, str]:
        """Return the ids of changelog, examples and closings; none of librdkafka's built-in broker."""
        routers = [self._plan.topics.router(router.name) for router in self._plan.routers]
        inputs = [topic for router in routers for topic in (router.examples, router.closings)]
        return KafkaAdmin(self._kafka).topic_ids([self._changelog, *inputs])


def _refuse_silence(plan: Plan, project: Project, publish_every_s: float) -> None:
    for router in plan.routers:
        if router.publish_ms == 0 and publish_every_s == 0:
            raise DefinitionError(
                str(project.file), f"router '{router.name}'", "nothing would ever publish its models",
                "Set `publish`, or let `train` publish by wall clock",
            )  # fmt: skip
