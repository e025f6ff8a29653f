"""A real Apache Kafka broker on this machine: one KRaft node, from the jars Maven fetches."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from headrace.deploy.local.child import Child, free_port
from headrace.deploy.local.environment import bare_environment
from headrace.deploy.local.maven import becoming, java_program, run_maven
from headrace.deploy.local.server import LocalServer
from headrace.deploy.local.tls_listener import SecureListener
from headrace.schemas.errors import ServiceUnavailable

KAFKA_VERSION = "4.1.0"
_NAME = "Apache Kafka"
_LOG4J_VERSION = "2.24.3"
# On a shared machine it is to start quickly rather than to be the fastest after minutes.
_QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_READY_S = 180.0  # it takes four seconds of CPU, of which a busy machine gives few
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>headrace</groupId><artifactId>kafka-broker</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId>
      <version>{_LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
_LOG4J = """status=ERROR
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1}: %m%n
"""


def default_cache() -> Path:
    """Return the folder in which jars are kept by default."""
    return Path.home() / ".cache" / "headrace" / "kafka"


def broker_jars(cache: Path | None = None) -> Path:
    """Return the folder of the broker's jars, which Maven fetches the first time.

    Raises
    ------
    ServiceUnavailable
        When Maven is not installed or could not fetch them.
    """
    cache = cache or default_cache()
    jars = cache / f"jars-{KAFKA_VERSION}"
    if jars.exists():
        return jars
    with becoming(jars) as folder:
        (folder / "pom.xml").write_text(_POM)
        run_maven(folder, _NAME, KAFKA_VERSION, "dependency:copy-dependencies", "-DoutputDirectory=jars")
    return jars


class KafkaServer(LocalServer):
    """A broker on loopback ports.

    Its data survives `stop`, `kill` and `restart`. A server in a directory of your own has the ports and data
    of the last one there.

    Parameters
    ----------
    directory
        For data, configuration and log; None for a temporary directory, removed at the end.
    cache
        Where the jars are kept; None for ``~/.cache/headrace/kafka``.
    secure
        Further listeners, with TLS and accounts.
    """

    stop_s = 20.0

    def __init__(
        self, directory: Path | None = None, cache: Path | None = None, secure: SecureListener | None = None
    ) -> None:
        super().__init__("kafka", directory)
        self._cache, self._secure = cache, secure
        self._port, self._controller_port = _ports(self._properties_file) or (free_port(), free_port())

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def _properties_file(self) -> Path:
        return self._directory / "server.properties"

    @property
    def log(self) -> Path:
        return self._directory / "kafka.log"

    def _prepare(self) -> Child:
        java = java_program(_NAME)
        classpath = f"{broker_jars(self._cache)}{os.sep}*"
        properties = self._properties_file
        if not properties.exists():
            self._format(java, classpath, properties)
        command = [java, "-Xmx512m", *_QUICK_START]
        command += [f"-Dlog4j2.configurationFile={self._directory / 'log4j2.properties'}"]
        command += self._secure.java_options() if self._secure else []
        command += ["-cp", classpath, "kafka.Kafka", str(properties)]
        return Child(_NAME, command, self.log)

    def _format(self, java: str, classpath: str, properties: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "log4j2.properties").write_text(_LOG4J)
        draft = properties.with_suffix(".draft")
        settings = self._properties() if self._secure is None else self._secure.add_to(self._properties())
        draft.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [java, *_QUICK_START, "-cp", classpath, "kafka.tools.StorageTool", "format", "--standalone"]
        command += [f"--cluster-id={cluster}", "-c", str(draft)]  # one word: the id may begin with a dash
        command += self._secure.format_options() if self._secure else []
        done = subprocess.run(command, capture_output=True, text=True, env=bare_environment())
        if done.returncode != 0:
            raise ServiceUnavailable(f"Apache Kafka could not format {self._directory}:\n{done.stderr}")
        draft.rename(properties)

    def _properties(self) -> dict[str, str | int]:
        listeners = f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "listeners": listeners,
            "advertised.listeners": listeners,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._directory / "data"),
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "log.cleaner.backoff.ms": 1000,
        }

    def _wait(self, child: Child) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        def answers() -> bool:
            try:
                return bool(admin.list_topics(timeout=1).brokers)
            except KafkaException:
                return False

        child.wait_until(answers, timeout_s=_READY_S)


def _ports(properties: Path) -> tuple[int, int] | None:
    """Return the ports of the broker whose data these are, since they name its quorum by its address."""
    if not properties.exists():
        return None
    match = re.search(
        r"^listeners=PLAINTEXT://[^:]+:(\d+),CONTROLLER://[^:]+:(\d+)", properties.read_text(), re.M
    )
    return None if match is None else (int(match[1]), int(match[2]))
