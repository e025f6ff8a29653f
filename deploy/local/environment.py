"""Environments of child processes, without the secrets of this one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

# What a program needs to be found, to run, and to write readable text where it may.
_NEEDED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TEMP|TMP|JAVA_HOME"
    r"|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|PYTHON(?:HOME|PATH|HASHSEED|UTF8|WARNINGS)|VIRTUAL_ENV"
)
_OWN_PREFIX = "HEADRACE_"
_COUNTERS = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


def bare_environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return of an environment what any program needs, for servers and others that need no more.

    Examples
    --------
    >>> bare_environment({"PATH": "/bin", "LC_ALL": "C.UTF-8", "AWS_SECRET_ACCESS_KEY": "s3cret"})
    {'PATH': '/bin', 'LC_ALL': 'C.UTF-8'}
    """
    return {name: value for name, value in given.items() if _NEEDED.fullmatch(name)}


def environment_without_settings(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment without the settings of Headrace, for tools that the user has set up by theirs.

    Examples
    --------
    >>> environment_without_settings({"MAVEN_OPTS": "-Xmx1g", "HEADRACE_MODEL_KEY": "s3cret"})
    {'MAVEN_OPTS': '-Xmx1g'}
    """
    return {name: value for name, value in given.items() if not name.startswith(_OWN_PREFIX)}


def environment_without_counters(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment without the folder of counters that Feast makes for the process that imports it.

    A child would keep its counters in that folder, mixed with those of others, and lose them when the process
    that made it ends. A folder that the user has named stays.
    """
    metrics = sys.modules.get("feast.metrics")
    made = metrics._prometheus_mp_dir if metrics is not None and metrics._owns_mp_dir else None
    return {name: value for name, value in given.items() if name not in _COUNTERS or value != made}
