"""A real Kafka that is reached with TLS and an account, and files that say how."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.kafka_server import KafkaServer
from deploy.secure_listener import SecureListener, make_certificate
from streams.kafka_access import KafkaAccess
from streams.kafka_properties import read_kafka_properties

ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "app", "of-the-tests-alone"


@dataclass(frozen=True)
class SecureKafka:
    """Where it listens, and whom clients have to trust."""

    server: KafkaServer
    bootstrap: str
    authority: Path

    def write(self, file: Path, mechanism: str = "SCRAM-SHA-512", **other: str | None) -> Path:
        """A file of properties that lets clients in, but for `other`: `_` is a dot, None leaves one out."""
        properties: dict[str, str | None] = {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority),
            "sasl.mechanism": mechanism,
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }
        properties |= {name.replace("_", "."): value for name, value in other.items()}
        lines = [f"{name}={value}\n" for name, value in properties.items() if value is not None]
        file.write_text("# of the tests\n" + "".join(lines))
        return file

    def access(self, file: Path) -> KafkaAccess:
        return read_kafka_properties(file, self.bootstrap)


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    certificate = make_certificate(folder, "changeit")
    listener = SecureListener(certificate, {USER: PASSWORD})
    with KafkaServer(cache=ROOT / ".cache" / "kafka", secure=listener) as server:
        yield SecureKafka(server, listener.bootstrap, certificate.authority)
