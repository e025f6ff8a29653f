"""A listener with TLS and accounts for the broker of `deploy.kafka_server`, and a certificate for it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.child import free_port
from schemas.errors import ServiceUnavailable

MECHANISMS = ("PLAIN", "SCRAM-SHA-512")
_NAME = "SASL_SSL"
_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureListener:
    """SASL_SSL on a loopback port, for a directory of its own: users are made with a broker's first start.

    Parameters
    ----------
    certificate
        What it shows.
    users
        Name to password, for PLAIN and SCRAM-SHA-512.
    port
        Where it listens.
    """

    certificate: Certificate
    users: Mapping[str, str] = field(repr=False)
    port: int = field(default_factory=free_port)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add_to(self, properties: Mapping[str, str | int]) -> dict[str, str | int]:
        """The broker's properties with this listener."""
        where = f",{_NAME}://{self.bootstrap}"
        users = "".join(f' user_{name}="{password}"' for name, password in self.users.items())
        prefix = f"listener.name.{_NAME.lower()}"
        return {
            **properties,
            "listeners": f"{properties['listeners']}{where}",
            "advertised.listeners": f"{properties['advertised.listeners']}{where}",
            "listener.security.protocol.map": (
                f"{properties['listener.security.protocol.map']},{_NAME}:{_NAME}"
            ),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": str(self.certificate.keystore),
            "ssl.keystore.password": self.certificate.password,
            f"{prefix}.sasl.enabled.mechanisms": ",".join(MECHANISMS),
            f"{prefix}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required{users};",
            f"{prefix}.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
        }

    def format_options(self) -> list[str]:
        """For the tool that formats a broker's directory."""
        return [
            word
            for name, password in self.users.items()
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]


@dataclass(frozen=True)
class Certificate:
    """A key and a certificate for loopback addresses, signed by an authority of its own."""

    keystore: Path
    authority: Path  # PEM
    password: str = field(repr=False)


def make_certificate(folder: Path, password: str) -> Certificate:
    """Make an authority and a certificate in a folder, with the keytool that comes with Java.

    Raises
    ------
    ServiceUnavailable
        When keytool is missing, or refuses.
    """
    made = Certificate(folder / "broker.p12", folder / "ca.pem", password)
    authority, request, signed = (folder / name for name in ("ca.p12", "broker.csr", "broker.pem"))
    key = ("-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30")
    of_broker = ("-keystore", made.keystore, "-alias", "broker")
    of_authority = ("-keystore", authority, "-alias", "authority")
    _keytool(password, *key, *of_authority, "-dname", "CN=Headrace test authority", "-ext", "bc:c")
    _keytool(password, "-exportcert", "-rfc", *of_authority, "-file", made.authority)
    _keytool(password, *key, *of_broker, "-dname", "CN=localhost")
    _keytool(password, "-certreq", *of_broker, "-file", request)
    names = ("-ext", "san=dns:localhost,ip:127.0.0.1", "-validity", "30")
    _keytool(password, "-gencert", "-rfc", *of_authority, *names, "-infile", request, "-outfile", signed)
    signer = ("-keystore", made.keystore, "-alias", "authority")
    _keytool(password, "-importcert", "-noprompt", *signer, "-file", made.authority)
    _keytool(password, "-importcert", "-noprompt", *of_broker, "-file", signed)
    return made


def _keytool(password: str, *words: str | Path) -> None:
    command = ["keytool", *map(str, words), "-storetype", "PKCS12", "-storepass", password]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ServiceUnavailable("'keytool' is not on the PATH; install Java 17") from error
    if done.returncode != 0:
        raise ServiceUnavailable(f"keytool {words[0]} failed: {done.stdout}{done.stderr}")
