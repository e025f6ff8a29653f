"""Files of librdkafka's properties: TLS, SASL, and whatever else it takes to reach a Kafka.

A file has lines ``name=value`` and comments that begin with ``#``. Properties of reading and writing are
refused: Headrace's guarantees rest on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, NoReturn

from confluent_kafka import KafkaException, Producer

from headrace.schemas.errors import SettingsError
from headrace.schemas.name_hint import name_hint
from headrace.streams.connections.kafka import KafkaAccess

_USUAL = (
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.token.endpoint.url",
    "client.id",
)
_SECRET = ("password", "secret", ".key.pem", "jaas", "token", "assertion", "oauthbearer.config", "username")

_ADDRESS = "the setting 'kafka' (HEADRACE_KAFKA) has the address"
_GROUPS = "every process has the group its project gives it"
_COMMITS = "offsets are committed after a checkpoint, and only then"
_STARTS = "where a process begins is in its state"
_ORDER = "nothing may be lost, doubled or overtaken on its way to the log"
_BOUNDS = "it belongs to how much is read or sent at once, and how soon"
_TIMES = "the setting 'session_timeout_ms' says it"
_RESERVED = {
    "bootstrap.servers": _ADDRESS,
    "metadata.broker.list": _ADDRESS,
    "group.id": _GROUPS,
    "group.instance.id": _GROUPS,
    "group.protocol": _GROUPS,
    "group.remote.assignor": _GROUPS,
    "partition.assignment.strategy": "which partitions go together follows from the plan",
    "session.timeout.ms": _TIMES,
    "heartbeat.interval.ms": _TIMES,
    "enable.auto.commit": _COMMITS,
    "auto.commit.interval.ms": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "auto.offset.reset": _STARTS,
    "enable.partition.eof": _STARTS,
    "isolation.level": "records of aborted transactions must not become features",
    "enable.idempotence": _ORDER,
    "enable.gapless.guarantee": _ORDER,
    "transactional.id": _ORDER,
    "acks": _ORDER,
    "request.required.acks": _ORDER,
    "partitioner": "a key belongs to the partition Java's clients would give it",
    "compression.type": _BOUNDS,
    "compression.codec": _BOUNDS,
    "linger.ms": _BOUNDS,
    "queue.buffering.max.ms": _BOUNDS,
    "queue.buffering.max.messages": _BOUNDS,
    "queue.buffering.max.kbytes": _BOUNDS,
    "message.max.bytes": _BOUNDS,
    "message.timeout.ms": _BOUNDS,
    "delivery.timeout.ms": _BOUNDS,
    "fetch.min.bytes": _BOUNDS,
    "fetch.wait.max.ms": "the setting 'fetch_wait_ms' says it",
    "fetch.queue.backoff.ms": _BOUNDS,
    "fetch.message.max.bytes": _BOUNDS,
    "max.partition.fetch.bytes": _BOUNDS,
    "queued.min.messages": _BOUNDS,
    "queued.max.messages.kbytes": _BOUNDS,
    "log_level": "the setting 'log_level' says what is logged",
    "logger": "the setting 'log_level' says what is logged",
}


class _Line(NamedTuple):
    number: int
    value: str


def read_kafka_properties(file: Path, servers: str) -> KafkaAccess:
    """Read how to reach a Kafka from a file of librdkafka's properties.

    Spaces around names and values do not count.

    Parameters
    ----------
    file
        For example a mounted secret.
    servers
        Bootstrap servers, ``host:port``, comma separated.

    Raises
    ------
    SettingsError
        When the file cannot be read, a line is not a property, or librdkafka or Headrace refuses it. Names
        file and line, and the value where it cannot be a secret.
    """
    lines: dict[str, _Line] = {}
    for number, line in enumerate(_read(file).splitlines(), 1):
        if (text := line.strip()) and not text.startswith("#"):
            name, value = _parse(file, number, text)
            if name in lines:
                _refuse(file, number, f"'{name}' stands in line {lines[name].number} too. Keep one of them")
            lines[name] = _Line(number, value)
    _try_out(file, lines)
    return KafkaAccess({name: line.value for name, line in lines.items()} | {"bootstrap.servers": servers})


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        problem = error.strerror
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    raise SettingsError(
        f"{file}: {problem}; the setting 'kafka_config' (HEADRACE_KAFKA_CONFIG) names a file of librdkafka's "
        "properties, name=value, one a line"
    )


def _parse(file: Path, number: int, text: str) -> tuple[str, str]:
    """Return name and value. Errors do not show the text: it may be part of a secret."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (equals and name):
        _refuse(file, number, "no property. Write name=value, and # before a comment")
    if name in _RESERVED:
        _refuse(file, number, f"Headrace sets '{name}' itself: {_RESERVED[name]}. Remove the line")
    return name, value


def _try_out(file: Path, lines: dict[str, _Line]) -> None:
    """Have librdkafka try the properties, line by line, then all together."""
    for name, line in lines.items():
        problem = _objection({name: line.value})
        if problem is not None and not problem.startswith("Failed to create"):
            _refuse(file, line.number, _explain(name, line.value, problem))
    problem = _objection({name: line.value for name, line in lines.items()})
    if problem is not None:
        named = [f"line {line.number}: {_shown(n, line.value)}" for n, line in lines.items() if n in problem]
        _, _, reason = problem.partition(": ")
        where = "; ".join([str(file), *named])
        raise SettingsError(f"{where}: {reason}. These are properties of librdkafka's CONFIGURATION.md")


def _objection(properties: dict[str, str]) -> str | None:
    """Return librdkafka's objection to some properties, or None."""
    try:
        Producer({**properties, "log_level": 0})
    except KafkaException as error:
        return str(error.args[0].str()).strip()
    except TypeError:  # names of callbacks
        return "No such configuration property"
    return None


def _explain(name: str, value: str, problem: str) -> str:
    if not problem.startswith("No such configuration property"):
        shown = problem.replace(value, "***") if value and _is_secret(name) else problem
        return f"{_shown(name, value)}: {shown.rstrip('.')}. See librdkafka's CONFIGURATION.md"
    return f"librdkafka knows no property '{name}'; {name_hint(name, _USUAL, 'the usual ones')}"


def _is_secret(name: str) -> bool:
    return any(word in name for word in _SECRET)


def _shown(name: str, value: str) -> str:
    return f"{name}=***" if _is_secret(name) else f"{name}={value!r}"


def _refuse(file: Path, number: int, problem: str) -> NoReturn:
    raise SettingsError(f"{file}, line {number}: {problem}")
