"""One run of one peer over one log: prepared, measured, verified, cleared away."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.streams.environments import python_of
from benchmarks.streams.measure import Usage, wait_until
from benchmarks.streams.outputs import Output, differences, make_output
from benchmarks.streams.peers.job import Job, marks, written
from benchmarks.streams.servers import ROOT, Servers
from benchmarks.streams.topic_log import delete_topics, preload
from benchmarks.streams.workload import ALLOWANCE_MS, PARTITIONS, SCHEMA, WINDOWS, Window, Workload
from headrace.deploy.local.child import Child

# Slow peers get fewer events of the same workload; what counts is their rate.
DIVISORS = {"headrace": 1, "flink": 1, "quix": 20, "bytewax": 40, "faust": 100}
_LEAST_EVENTS = 2000
_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Figure:
    """What one verified run took."""

    events: int
    accounts: int  # keys that occur in the log
    startup_s: float  # from the start of the process to its first record
    wall_s: float  # from there to its last output
    cpu_s: float  # in that time, of its processes
    peak_bytes: int
    written_s: float | None = None  # to the last row in a topic, where it goes to one on its way

    @property
    def rate(self) -> float:
        return self.events / self.wall_s


def share(peer: str, events: int) -> int:
    """How many events a peer gets."""
    return max(events // DIVISORS[peer], min(events, _LEAST_EVENTS))


def run_once(
    peer: str, workload: Workload, window: Window, servers: Servers, registry: str, workers: int
) -> Figure:
    """Run a peer to the end of the log.

    Raises
    ------
    WrongResult
        When what it left is not what the oracle says.
    """
    preload(servers.kafka, workload)
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{peer}-"))
    job = job_for(peer, workload, window, servers, folder)
    try:
        output = make_output(peer, job, workload, window, registry)
        began = time.time()
        children = [start(peer, job) for _ in range(workers if peer == "headrace" else 1)]
        usage = Usage(child.pid for child in children if child.pid is not None)
        try:
            _await(peer, output, children)
        finally:
            usage.stop()
            for child in children:
                child.stop()
        problem = differences(output.totals(), workload.expected(window))
        if problem:
            raise WrongResult(f"{peer}: {problem}")
        first, last = marks(folder)
        in_topic = written(folder)
    finally:
        servers.empty_redis()
        delete_topics(servers.kafka, job.name)
        shutil.rmtree(folder, ignore_errors=True)
    accounts = len(np.unique(workload.payments.account))
    cpu_s = usage.cpu_s(first, last)
    written_s = None if in_topic is None else in_topic - first
    return Figure(workload.events, accounts, first - began, last - first, cpu_s, usage.peak_bytes, written_s)


class WrongResult(Exception):
    """A peer's output differs from the oracle's: it gets no figure."""


def job_for(peer: str, workload: Workload, window: Window, servers: Servers, folder: Path) -> Job:
    window_ms, hop_ms = WINDOWS[window]
    return Job(
        name=f"bench-{peer}-{uuid.uuid4().hex[:8]}",
        folder=str(folder),
        bootstrap=servers.kafka,
        redis=servers.redis,
        topic=workload.topic,
        records=workload.records,
        partitions=PARTITIONS,
        format=workload.format,
        schema=SCHEMA,
        window_ms=window_ms,
        hop_ms=hop_ms,
        allowance_ms=ALLOWANCE_MS,
        cores=os.cpu_count() or 1,
    )


def start(peer: str, job: Job) -> Child:
    """The program of a peer, in its own environment."""
    python = sys.executable if peer == "headrace" else str(python_of(peer))
    command = [python, "-m", f"benchmarks.streams.peers.{peer}", str(job.save())]
    return Child(peer, command, Path(job.folder) / "log", ROOT).start()


def _await(peer: str, output: Output, children: list[Child]) -> None:
    def check() -> None:
        for child in children:
            if child.exit_code not in (None, 0):
                child.check()

    wait_until(lambda: output.finished([c.exit_code for c in children]), _TIMEOUT_S, peer, check)
