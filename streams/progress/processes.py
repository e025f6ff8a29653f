"""Processes of a project: which run, and by which plan.

Each process says every few seconds that it is there. So its plan is known also while it has no partitions, no
record to read, or is stuck.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import redis

from headrace.schemas.encodings import UNVERSIONED
from headrace.streams.progress.counts import readable
from headrace.streams.progress.record import whole

VERSION = 1
SILENT_MS = 30_000  # without a word for so long, a process is taken to be gone, or paused
FORGOTTEN_MS = 86_400_000  # one that is gone is shown for so long


def processes_key(project: str) -> str:
    """Redis hash of processes, a `RunningProcess` under ``kind|name``."""
    return f"headrace:{project}:processes"


def turn_key(project: str, kind: str) -> str:
    """Redis string that the process of a kind has set which ends now; see `ProcessRegistry.take_turn`."""
    return f"headrace:{project}:turn:{kind}"


@dataclass(frozen=True)
class RunningProcess:
    """A process, as it said last.

    Attributes
    ----------
    kind
        ``worker``, ``join``, ``train`` or ``serve``.
    name
        Host and process id.
    plan
        Hash of the plan it has.
    replaced_ms
        Since when that plan is not in force, epoch milliseconds; None while it is.
    at_ms
        Wall clock when it said so, epoch milliseconds; 0: now.

    Examples
    --------
    >>> process = RunningProcess("join", "host-7", "5e88", None, at_ms=2_250)
    >>> process.encode()
    '{"v":1,"plan":"5e88","replaced":null,"at":2250}'
    >>> RunningProcess.decode("join", "host-7", process.encode()) == process
    True
    """

    kind: str
    name: str
    plan: str
    replaced_ms: int | None = None
    at_ms: int = 0

    def encode(self) -> str:
        """Return plan and times as JSON."""
        at_ms = self.at_ms or _now_ms()
        raw = {"v": VERSION, "plan": self.plan, "replaced": self.replaced_ms, "at": at_ms}
        return json.dumps(raw, separators=(",", ":"))

    @classmethod
    def decode(cls, kind: str, name: str, text: str | bytes) -> RunningProcess | None:
        """Read what `encode` wrote.

        None of a version that is not known, or that is damaged: its process says it again.
        """
        try:
            raw = json.loads(text)
            if raw.get("v", UNVERSIONED) != VERSION:
                return None
            replaced = raw["replaced"]
            replaced_ms = None if replaced is None else whole(replaced)
            return cls(kind, name, str(raw["plan"]), replaced_ms, whole(raw["at"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def silent_ms(self) -> int:
        """Return how long the process has said nothing."""
        return _now_ms() - self.at_ms


class ProcessRegistry:
    """Reads and writes the processes of a project.

    Parameters
    ----------
    client
        A Redis client, with or without `decode_responses`.
    project
        Name of the project.
    """

    def __init__(self, client: redis.Redis, project: str) -> None:
        self._redis, self._project = client, project
        self._key = processes_key(project)

    def report(self, process: RunningProcess) -> None:
        """Say that a process is there."""
        self._redis.hset(self._key, f"{process.kind}|{process.name}", process.encode())

    def forget(self, kind: str, name: str) -> None:
        """Remove a process that has ended."""
        self._redis.hdel(self._key, f"{kind}|{name}")

    def forget_old(self) -> None:
        """Remove processes that have been gone for a day. What is no process stays, and is passed over."""
        for process in self.read():
            if process.silent_ms() > FORGOTTEN_MS:
                self.forget(process.kind, process.name)

    def read(self) -> list[RunningProcess]:
        """Return the processes by kind and name, also those that were killed a while ago."""
        raw: Any = self._redis.hgetall(self._key)
        found = []
        for field, value in raw.items():
            kind, _, name = readable(field).partition("|")
            if (process := RunningProcess.decode(kind, name, value)) is not None:
                found.append(process)
        return sorted(found, key=lambda process: (process.kind, process.name))

    def take_turn(self, kind: str, for_ms: int) -> bool:
        """Whether this process is the one of its kind that ends within the next `for_ms`."""
        return bool(self._redis.set(turn_key(self._project, kind), 1, nx=True, px=for_ms))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
