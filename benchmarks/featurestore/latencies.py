"""How late answers are under a constant load."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.featurestore.peers import Feast, Headrace, Peer, Raw
from benchmarks.featurestore.workload import Workload


def print_latencies(workload: Workload, url: str, rate: int, seconds: float) -> None:
    """Each peer in a process of its own: the collector of one walks through the objects of all."""
    print(f"## {rate} requests/s of 10 entities, from the moment each is due, ms\n")
    print("| peer | p50 | p99 | p99.9 |\n|---|---|---|---|")
    asked = (workload.rows, workload.project, url, rate, seconds)
    for name in (Raw.name, Headrace.name, Feast.name):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            late = process.submit(_latencies_alone, name, *asked).result()
        row = " | ".join(f"{ms:.2f}" for ms in np.percentile(late, [50, 99, 99.9]))
        print(f"| {name} | {row} |")
    print()


def _latencies_alone(name: str, rows: int, project: str, url: str, rate: int, seconds: float) -> list[float]:
    workload = Workload(rows, project)
    with tempfile.TemporaryDirectory() as folder:
        peers: dict[str, Callable[[], Peer]] = {
            Raw.name: lambda: Raw(workload, url),
            Headrace.name: lambda: Headrace(workload, url),
            Feast.name: lambda: Feast(workload, url, Path(folder)),
        }
        return asyncio.run(_latencies(peers[name](), workload, rate, seconds))


async def _latencies(peer: Peer, workload: Workload, rate: int, seconds: float) -> list[float]:
    random, late = np.random.default_rng(3), []
    asked = random.integers(0, workload.rows, (int(rate * seconds), 10)).tolist()
    began = time.perf_counter() + 0.1

    async def one(number: int, accounts: list[int]) -> None:
        await peer.read_async(accounts)
        late.append((time.perf_counter() - began - number / rate) * 1000)

    tasks = []
    for number, accounts in enumerate(asked):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, accounts)))
    await asyncio.gather(*tasks)
    return late
