"""Certificates for trying TLS on one machine, made with openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from headrace.deploy.local.environment import bare_environment
from headrace.schemas.errors import ServiceUnavailable

_DAYS = "30"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_LOOPBACK = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate for loopback addresses: PEM files of it with its key, and of the authority behind it."""

    with_key: Path
    authority: Path


class Authority:
    """Signs certificates. All files are in one folder.

    Parameters
    ----------
    folder
        Where its files and theirs are written.

    Raises
    ------
    ServiceUnavailable
        When openssl is missing or fails.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._key, self.certificate = folder, folder / "ca.key", folder / "ca.pem"
        made = ("-keyout", self._key, "-out", self.certificate)
        _openssl("req", "-x509", *_KEY, "-subj", "/CN=Headrace test authority", "-days", _DAYS, *made)

    def sign(self, name: str) -> Certificate:
        """Return a new certificate for a broker or client of that name."""
        request, key, signed, names = (
            self._folder / f"{name}.{kind}" for kind in ("csr", "key", "crt", "names")
        )
        names.write_text(_LOOPBACK)
        _openssl("req", "-new", *_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        signer = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", _DAYS)
        _openssl("x509", "-req", *signer, "-in", request, "-extfile", names, "-out", signed)
        both = self._folder / f"{name}.pem"
        both.touch(mode=0o600)
        both.write_text(key.read_text() + signed.read_text())
        return Certificate(both, self.certificate)


def _openssl(*words: str | Path) -> None:
    try:
        command = ["openssl", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=bare_environment())
    except FileNotFoundError as error:
        raise ServiceUnavailable("'openssl' is not on the PATH; install it to make certificates") from error
    if done.returncode != 0:
        raise ServiceUnavailable(f"openssl {words[0]} failed: {done.stderr}")
