"""A real Kafka that is reached with TLS and an account, a token or a certificate, and files that say how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.deploy.local.certificates import Authority, Certificate
from headrace.deploy.local.kafka_server import KafkaServer
from headrace.deploy.local.tls_listener import SecureListener
from headrace.streams.connections.kafka import KafkaAccess
from headrace.streams.connections.kafka_properties import read_kafka_properties
from tests.support.paths import ROOT
from tests.support.token_server import TokenServer

USER, PASSWORD = "app", "of-the-tests-alone"


@dataclass(frozen=True)
class SecureKafka:
    """Where it listens, whom clients have to trust, and a certificate that lets one in without an account."""

    server: KafkaServer
    bootstrap: str
    certified_bootstrap: str
    authority: Path
    client: Certificate
    tokens: TokenServer

    def write(self, file: Path, mechanism: str = "SCRAM-SHA-512", **other: str | None) -> Path:
        """A file of properties that lets clients in, but for `other`: `_` is a dot, None leaves one out."""
        properties: dict[str, str | None] = {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority),
            "sasl.mechanism": mechanism,
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }
        return _write(file, properties, other)

    def write_certified(self, file: Path, **other: str | None) -> Path:
        """A file of properties that lets clients in by their certificate, but for `other` (see `write`)."""
        properties: dict[str, str | None] = {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.authority),
            "ssl.certificate.location": str(self.client.with_key),
            "ssl.key.location": str(self.client.with_key),
        }
        return _write(file, properties, other)

    def write_token(self, file: Path, **other: str | None) -> Path:
        """A file of properties that lets clients in by tokens they ask for, but for `other` (see `write`)."""
        properties: dict[str, str | None] = {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority),
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": USER,
            "sasl.oauthbearer.client.secret": PASSWORD,
            "sasl.oauthbearer.token.endpoint.url": self.tokens.url,
        }
        return _write(file, properties, other)

    def access(self, file: Path) -> KafkaAccess:
        return read_kafka_properties(file, self.bootstrap)


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    authority = Authority(folder)
    client = authority.sign("client")
    with TokenServer(folder, USER, PASSWORD) as tokens:
        listener = SecureListener(authority.sign("broker"), {USER: PASSWORD}, tokens.keys)
        with KafkaServer(cache=ROOT / ".cache" / "kafka", secure=listener) as server:
            yield SecureKafka(
                server,
                listener.bootstrap,
                listener.certified_bootstrap,
                authority.certificate,
                client,
                tokens,
            )


def _write(file: Path, properties: dict[str, str | None], other: Mapping[str, str | None]) -> Path:
    properties |= {name.replace("_", "."): value for name, value in other.items()}
    lines = [f"{name}={value}\n" for name, value in properties.items() if value is not None]
    file.write_text("# of the tests\n" + "".join(lines))
    return file
