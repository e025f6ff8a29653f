"""Debian's buildah, with a store of its own, on a base image that is made here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NEEDED = ("buildah", "mmdebstrap", "runc")
BASE = "docker.io/library/python:3.11-slim"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_PASSED_ON = ("PIP_", "UV_", "SSL_CERT_FILE")


def missing() -> list[str]:
    """What is not there of what a build needs."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    return absent + (["root"] if os.geteuid() else [])


class Buildah:
    """Builds images, and looks into them."""

    def __init__(self, folder: Path) -> None:
        storage, containers = folder / "storage.conf", folder / "containers.conf"
        storage.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
        )
        containers.write_text('[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n')
        self._folder = folder
        self._environment = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERS_CONF": str(containers),
        }

    def run(self, *words: str, cwd: Path | None = None) -> str:
        """Run a command of buildah, and return what it prints."""
        command = ["buildah", *words]
        ran = subprocess.run(command, capture_output=True, text=True, env=self._environment, cwd=cwd)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        return ran.stdout.strip()

    def make_base(self) -> None:
        """Make Debian with Python, under the name that the Dockerfile asks for."""
        archive = self._folder / "base.tar"
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={_PACKAGES}",
                "bookworm",
                str(archive),
            ],
            check=True,
        )
        made = self.run("from", "scratch")
        self.run("add", "--quiet", made, str(archive), "/")
        self.run("run", "--isolation", "chroot", made, "--", "ln", "-s", "python3", "/usr/bin/python")
        variables = {n: v for n, v in os.environ.items() if n.startswith(_PASSED_ON)}
        if certificates := variables.get("SSL_CERT_FILE"):
            self.run("add", "--quiet", made, certificates, certificates)
        for name, value in {**variables, "PIP_BREAK_SYSTEM_PACKAGES": "1"}.items():
            self.run("config", "--env", f"{name}={value}", made)
        self.run("commit", "--quiet", "--rm", made, BASE)
        archive.unlink()

    def build(self, context: Path, *words: str) -> None:
        """Build the image `headrace` from a folder."""
        self.run(
            *("build", "--isolation", "chroot", "--pull-never", "--file", "deploy/Dockerfile"),
            *("--tag", "headrace", *words, "."),
            cwd=context,
        )
