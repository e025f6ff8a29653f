"""Listeners with TLS for the broker of `kafka_server.py`: for accounts, and for certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.deploy.local.certificates import Certificate
from headrace.deploy.local.child import free_port

MECHANISMS = ("PLAIN", "SCRAM-SHA-512")
AUDIENCE = "kafka"
_ACCOUNTS, _CERTIFIED = "SASL_SSL", "SSL"
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureListener:
    """SASL_SSL and SSL on loopback ports, for a directory of its own: users are made with its first start.

    Parameters
    ----------
    certificate
        The broker's.
    users
        Name to password, for PLAIN and SCRAM-SHA-512.
    token_keys
        File of JSON web keys (RFC 7517). A token for "kafka" that one of them signed is accepted by
        OAUTHBEARER, for the user in its ``sub``.
    port
        Of the listener for users.
    certified_port
        Of the listener for clients with a certificate of the same authority, and for no others.
    """

    certificate: Certificate
    users: Mapping[str, str] = field(repr=False)
    token_keys: Path
    port: int = field(default_factory=free_port)
    certified_port: int = field(default_factory=free_port)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def certified_bootstrap(self) -> str:
        return f"127.0.0.1:{self.certified_port}"

    def add_to(self, properties: Mapping[str, str | int]) -> dict[str, str | int]:
        """Return a broker's properties with these listeners."""
        where = f",{_ACCOUNTS}://{self.bootstrap},{_CERTIFIED}://{self.certified_bootstrap}"
        users = "".join(f' user_{name}="{password}"' for name, password in self.users.items())
        prefix = f"listener.name.{_ACCOUNTS.lower()}"
        tokens = f"{prefix}.oauthbearer"
        return {
            **properties,
            "listeners": f"{properties['listeners']}{where}",
            "advertised.listeners": f"{properties['advertised.listeners']}{where}",
            "listener.security.protocol.map": (
                f"{properties['listener.security.protocol.map']}"
                f",{_ACCOUNTS}:{_ACCOUNTS},{_CERTIFIED}:{_CERTIFIED}"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificate.with_key),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificate.authority),
            f"listener.name.{_CERTIFIED.lower()}.ssl.client.auth": "required",
            f"{prefix}.sasl.enabled.mechanisms": ",".join((*MECHANISMS, "OAUTHBEARER")),
            f"{prefix}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required{users};",
            f"{prefix}.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
            f"{tokens}.sasl.jaas.config": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required;",
            f"{tokens}.sasl.server.callback.handler.class": (
                f"{_LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            f"{tokens}.sasl.oauthbearer.jwks.endpoint.url": self.token_keys.as_uri(),
            f"{tokens}.sasl.oauthbearer.expected.audience": AUDIENCE,
            f"{tokens}.connections.max.reauth.ms": "3600000",  # or until the token ends
        }

    def java_options(self) -> list[str]:
        """Return options of Java for the broker's process."""
        return [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.token_keys.as_uri()}"]

    def format_options(self) -> list[str]:
        """Return options for the tool that formats a broker's directory."""
        return [
            word
            for name, password in self.users.items()
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
