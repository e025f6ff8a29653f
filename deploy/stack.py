"""The local stack: broker, Redis and every process of a project on this machine, all of them or none."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import SecretStr

from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.commands.topic_specs import all_topics
from headrace.deploy.local.child import Child, free_port
from headrace.deploy.local.directory_lock import LOCK_FILE, DirectoryLock
from headrace.deploy.local.redis_server import RedisServer
from headrace.deploy.local.supervisor import Supervisor
from headrace.deploy.settings import Settings, load_settings
from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import PlanError, ServiceUnavailable, SettingsError
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.url_accounts import without_account
from headrace.streams.progress import ProgressStore
from headrace.streams.runtime.internal_topics import PROCESSES, Process
from headrace.streams.runtime.plan_watch import EXIT_REPLACED

_MOCK_FETCH_WAIT_MS = 10  # the built-in broker answers no sooner, whatever arrives
_LOOK_S = 1.0  # between two looks at the plan in force
_OF_MOCK = "of-built-in-broker"  # the file that marks a data directory of that broker


class LocalStack:
    """A context manager that runs a project on this machine.

    Parameters
    ----------
    project_dir
        The Feast repository with its ``learners.py``.
    kafka
        ``mock`` for librdkafka's built-in broker, else the address of a running Kafka. The built-in broker
        keeps nothing when it stops. So the data directory of its last run is emptied at the next start: its
        files name offsets that are gone.
    redis_url
        A running Redis; None starts one, which keeps its data unless the broker is the built-in one.
    partitions
        Partition count of event topics that do not exist yet and have no entry in `topic_partitions`.
    processes
        The processes to run; one without work is left out.
    port
        Where `serve` listens; None for any free port.
    kafka_config
        File of librdkafka properties with TLS and SASL of that Kafka; None for the project's.
    settings
        More settings, as keyword arguments; they come before the environment.

    Attributes
    ----------
    plan
        The plan that was applied, once `start` was called.

    Raises
    ------
    HeadraceError
        From `start` when a definition or setting is wrong, or a part does not come up; from `check` and
        `watch` when a process ended. The message ends with the log.
    """

    plan: Plan

    def __init__(
        self,
        project_dir: Path,
        kafka: str = "mock",
        redis_url: str | None = None,
        partitions: int = 4,
        processes: tuple[Process, ...] = PROCESSES,
        port: int | None = None,
        kafka_config: Path | None = None,
        **settings: Any,
    ) -> None:
        self._mock = kafka == "mock"
        self._redis_url, self._processes = redis_url, processes
        given: dict[str, Any] = {"kafka": None if self._mock else kafka, "event_partitions": partitions}
        given |= {"port": port or free_port(), "kafka_config": kafka_config}
        if self._mock and kafka_config is not None:
            raise SettingsError(
                f"{kafka_config}: the built-in broker knows neither TLS nor SASL; name the Kafka it is for, "
                "--kafka HOST:PORT"
            )
        if self._mock:
            given |= {"fetch_wait_ms": _MOCK_FETCH_WAIT_MS}
        self._settings = load_settings(project_dir, **given | settings)
        if self._mock and self._settings.kafka_config is not None:  # the project's, for another Kafka
            self._set(kafka_config=Path(os.devnull))
        self._supervisor = Supervisor(self._renew)
        self._running: dict[Process, Child] = {}
        self._looked_s = 0.0  # when the plan in force was looked up last
        self._lock = DirectoryLock(self._settings.data)
        self._ready: dict[Process, Callable[[], bool]] = {
            "worker": self._worker_is_ready,
            "serve": self._serve_is_ready,
        }

    @property
    def bootstrap(self) -> str:
        """Address of the broker."""
        return self._settings.kafka

    @property
    def kafka(self) -> Kafka:
        """Access to the broker, with TLS and SASL."""
        return self._settings.kafka_access

    @property
    def redis_url(self) -> str:
        """URL of the online store."""
        return self._settings.redis

    @property
    def serve_url(self) -> str:
        """URL of the routers' HTTP service."""
        return f"http://{self._settings.host}:{self._settings.port}"

    @property
    def data_dir(self) -> Path:
        """Directory of feature log, models, examples and logs."""
        return self._settings.data

    @property
    def settings(self) -> Settings:
        """The settings that the processes have."""
        return self._settings

    def start(self) -> LocalStack:
        """Start everything in order, and return once all is ready."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything in the reverse order."""
        self._supervisor.stop()
        self._running.clear()
        self._lock.release()

    def check(self) -> None:
        """Check that every process runs."""
        self._supervisor.check()

    def watch(self, until: threading.Event | None = None) -> None:
        """Block until `until` is set. Raises as soon as a process ends.

        A process whose plan is replaced by an `apply` is started anew. One that has work now is started, too.
        """
        self._supervisor.watch(until, self._follow_plan)

    def __enter__(self) -> LocalStack:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def describe(self) -> str:
        """Describe the running stack for its user: addresses, logs and the variables to export."""
        file = self.settings.kafka_config
        config = f" HEADRACE_KAFKA_CONFIG={file}" if file else ""
        shown = without_account(self.redis_url)
        store = self.redis_url if shown == self.redis_url else "..."  # no password on a terminal
        return (
            f"project '{self.plan.project}' runs: predictions at {self.serve_url}, logs in "
            f"{self.data_dir / 'logs'}\nin other terminals:\n"
            f"  export HEADRACE_KAFKA={self.bootstrap} HEADRACE_REDIS={store}{config}\n"
            f"  headrace status {self.settings.project_dir}\nCtrl-C stops it"
        )

    def _start(self) -> None:
        self.plan = compile_project(self._settings.project_dir).plan
        self._settings.make_data_dir()
        self._lock.acquire()
        self._prepare_data_dir()
        if self._mock:
            self._set(kafka=self._start_mock_kafka())
        self._set(redis=self._redis_url or self._start_redis())
        apply_plan(self._settings, self.plan)
        self._start_missing()
        materialize(self._settings.project_dir, self.plan, self.redis_url)
        for name, child in self._running.items():
            if name in self._ready:
                self._supervisor.wait_until(child, self._ready[name])

    def _start_missing(self) -> None:
        """Start the processes that have work and do not run."""
        missing = [name for name in self._processes if self._has_work(name) and name not in self._running]
        started = {name: self._process(name) for name in missing}
        self._running |= started
        self._supervisor.start_together(started.values())

    def _renew(self, child: Child) -> bool:
        """Start a process again that has ended because its plan was replaced, if it still has work."""
        if child.exit_code != EXIT_REPLACED:
            return False
        self._looked_s = 0.0
        self._follow_plan()
        name = next(name for name, running in self._running.items() if running is child)
        if self._has_work(name):
            child.start()
        else:
            self._supervisor.leave(self._running.pop(name))
        return True

    def _follow_plan(self) -> None:
        """Take the plan in force for that of the stack."""
        if time.monotonic() - self._looked_s < _LOOK_S:
            return
        self._looked_s = time.monotonic()
        with contextlib.suppress(PlanError, ServiceUnavailable), redis_client(self.redis_url) as client:
            plans = PlanStore(client, self.plan.project, self._settings.plan_signing_key())
            if plans.hash_in_force() not in (None, self.plan.hash):
                self.plan = plans.load()
                self._start_missing()

    def _has_work(self, name: Process) -> bool:
        return bool(self.plan.stream_views if name == "worker" else self.plan.routers)

    def _process(self, name: Process) -> Child:
        project_dir = self._settings.project_dir
        # -P: modules in the working directory must not come before those that are installed.
        command = [sys.executable, "-P", "-m", "headrace", name, str(project_dir)]
        return Child(name, command, self._log(name), project_dir, self._environment(name))

    def _environment(self, name: Process) -> dict[str, str]:
        """Return the environment of a process. Metrics ports count up from the setting, one for each.

        It has the secrets that the process uses: models are for those who make and serve them, the account of
        the registry for those who read events. Plans are for all.
        """
        first = self._settings.metrics_port
        port = first + PROCESSES.index(name) if first else 0
        key = self._settings.plan_signing_key()
        changed = {
            "metrics_port": port,
            "plan_key": None if key is None else SecretStr(key.decode()),
            "follow_plan": True,
            "drain_s": 0.0,  # nobody is to be sent elsewhere
        }
        reads_events = name in ("worker", "join")
        without = ("model_key",) if reads_events else ("schema_registry", "schema_registry_token")
        return self._settings.model_copy(update=changed).environment(without)

    def _set(self, **changed: Any) -> None:
        self._settings = self._settings.model_copy(update=changed)

    def _prepare_data_dir(self) -> None:
        """Empty a data directory that the built-in broker left; refuse it one that another Kafka led to."""
        data, mark = self.data_dir, self.data_dir / _OF_MOCK
        found = [path for path in data.iterdir() if path.name != LOCK_FILE]
        if mark.exists():
            for path in found:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif self._mock and found:
            raise SettingsError(
                f"the data directory {data} holds what another Kafka led to, and the built-in broker starts "
                "from nothing: remove it, or set HEADRACE_DATA_DIR to another one"
            )
        shutil.rmtree(data / "logs", ignore_errors=True)
        if self._mock:
            mark.touch()
        self._settings.make_signing_key()

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _start_mock_kafka(self) -> str:
        settings = self._settings
        counts = all_topics(self.plan, settings.event_partitions, settings.topic_partitions)
        topics = [word for name, count in counts.items() for word in ("--topic", f"{name}={count}")]
        log = self._log("kafka")
        command = [sys.executable, "-m", "headrace.deploy.local.mock_kafka", *topics]
        child = Child("kafka", command, log)
        self._supervisor.start(child, lambda: log.read_text().endswith("\n"))
        return log.read_text().split()[-1]

    def _start_redis(self) -> str:
        server = RedisServer(self.data_dir / "redis", persistent=not self._mock).start()
        self._supervisor.adopt(server.child)
        return server.url

    def _worker_is_ready(self) -> bool:
        """Tell whether every partition of an event topic with views is restored."""
        event_topics = [s.topic for s in self.plan.sources if self.plan.views_of(s.name)]
        client = redis_client(self.redis_url)
        try:
            restored = {
                (topic, n)
                for (stage, topic, n, _), record in ProgressStore(client, self.plan).read().items()
                if stage == "features" and record.plan == self.plan.hash
            }
        finally:
            client.close()
        return restored >= end_offsets(self.kafka, event_topics).keys()

    def _serve_is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.serve_url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def run_until_interrupted(stack: LocalStack) -> None:
    """Run a stack until Ctrl-C or SIGTERM. Another Ctrl-C kills processes that have not stopped yet."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with stack:
            print(stack.describe(), flush=True)
            stack.watch()
    except KeyboardInterrupt:
        print("stopped", flush=True)
