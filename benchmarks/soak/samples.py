"""What processes and stores take, sampled over a soak, and whether it has grown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import redis

from benchmarks.soak.project import SoakProject
from headrace.streams.connections.kafka_admin import KafkaAdmin

_MIB = 2**20
# The median of the last quarter may be so many times that of the second, and so much more: beyond is growth.
_ALLOWED = {"MiB": (1.25, 32), "threads": (1.0, 4), "descriptors": (1.0, 16), "files": (1.0, 8)}
_UNJUDGED = {
    ("kafka", "MiB"),  # the heap of a JVM grows to what it may have, whatever is asked of it
    ("kafka", "descriptors"),  # two for each segment of each topic: the events are kept
    ("feature log", "files"),  # logs: they are kept, and `headrace compact` makes few files of many
    ("examples", "files"),
}


class Samples:
    """Measures by what was measured and how, in order of time."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}

    def take(self, project: SoakProject, kafka_data: str) -> None:
        for name, pid in _processes(project):
            self._process(name, pid)
        settings = project.settings
        self._add("kafka", "topics", len(KafkaAdmin(settings.kafka_access).metadata().topics))
        self._add("compacted topics", "MiB", _compacted_bytes(project, kafka_data) / _MIB)
        keys: Any = redis.Redis.from_url(settings.redis).dbsize()
        self._add("redis", "keys", keys)
        self._add("models", "files", _files(settings.models_dir))
        self._add("feature log", "files", _files(settings.feature_log_dir))
        self._add("examples", "files", _files(settings.examples_dir))
        self._add("unfinished", "files", len(list(settings.data.rglob("*.unfinished"))))

    def grown(self) -> list[str]:
        return [
            f"{process} {name} grew" for process, name in self._values if self._has_grown((process, name))
        ]

    def print(self) -> None:
        print(f"{'of':18s} {'measure':12s} {'second quarter':>15s} {'last quarter':>15s} {'most':>10s}")
        for key in sorted(self._values):
            before, after = self._quarters(key)
            most = max(self._values[key])
            print(f"{key[0]:18s} {key[1]:12s} {before:15,.1f} {after:15,.1f} {most:10,.1f}")

    def _process(self, name: str, pid: int) -> None:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            self._add(name, "MiB", int(status["VmRSS"].split()[0]) * 1024 / _MIB)
            self._add(name, "threads", int(status["Threads"]))
            self._add(name, "descriptors", len(os.listdir(f"/proc/{pid}/fd")))
        except (FileNotFoundError, ProcessLookupError, KeyError):
            return  # it has just ended

    def _add(self, process: str, name: str, value: float) -> None:
        self._values.setdefault((process, name), []).append(value)

    def _quarters(self, key: tuple[str, str]) -> tuple[float, float]:
        """Median of the second quarter of the time, and of the last."""
        values = self._values[key]
        quarter = max(len(values) // 4, 1)
        return float(np.median(values[quarter : 2 * quarter] or values)), float(np.median(values[-quarter:]))

    def _has_grown(self, key: tuple[str, str]) -> bool:
        factor, more = _ALLOWED.get(key[1], (1.0, 0))
        before, after = self._quarters(key)
        return key not in _UNJUDGED and after > before * factor + more


def _processes(project: SoakProject) -> Iterator[tuple[str, int]]:
    """The project's processes and the servers, which are children of this one."""
    pids = {child.pid: name for name, child in project.children.items()}
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for pid in map(int, children):
        if pid in pids:
            yield pids[pid], pid
        else:
            program = Path(os.readlink(f"/proc/{pid}/exe")).name
            yield ("kafka" if program == "java" else "redis"), pid


def _files(folder: Path) -> int:
    return sum(file.is_file() for file in folder.rglob("*"))


def _compacted_bytes(project: SoakProject, kafka_data: str) -> int:
    """Bytes of the segments of this project's compacted topics."""
    topics, plan = project.plan.topics, project.plan
    names = [topics.source(source.name).changelog for source in plan.sources]
    names += [topics.router(router.name).join_changelog for router in plan.routers]
    folders = [f for name in names for f in (project.folder / kafka_data).glob(f"{name}-*")]
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*.log"))
