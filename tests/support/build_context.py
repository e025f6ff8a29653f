"""Which files of a folder a builder of images is given, by the ignore file of the folder.

Docker's own SDK says so, in an environment of its own: nothing else needs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_DOCKER = "docker==7.2.0"
_ASK = """
import json, sys
from docker.utils.build import exclude_paths
lines = (line.strip() for line in open(sys.argv[1] + "/.dockerignore"))
patterns = [line for line in lines if line and not line.startswith("#")]
print(json.dumps(sorted(exclude_paths(sys.argv[1], patterns, "deploy/Dockerfile"))))
"""


def build_context(folder: Path) -> set[str]:
    """Files and folders that are left, relative to the folder."""
    uv = [sys.executable, "-m", "uv", "run", "--quiet", "--no-project", "--with", _DOCKER]
    ran = subprocess.run([*uv, "python", "-c", _ASK, str(folder)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout))
