"""Kubernetes' own schemas, of a large package in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_VALIDATOR = "kubernetes-validate==1.37.0"


def faults_of(version: str, *manifests: Path) -> str:
    """What that version of Kubernetes finds wrong with files of manifests; unknown fields are wrong."""
    uv = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", _VALIDATOR]
    command = [*uv, "kubernetes-validate", "--strict", "--no-warn", "-k", version, *map(str, manifests)]
    ran = subprocess.run(command, capture_output=True, text=True)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr
