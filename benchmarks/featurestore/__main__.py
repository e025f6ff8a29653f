"""Lookups and writes of the online store: Headrace, stock Feast and a raw redis-py pipeline on the same rows.

`python -m benchmarks.featurestore --help`; what is compared is in docs/benchmarks.md. Peers take turns, each
figure is the best of its rounds, and the CPU time is that of the client's process.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis

from benchmarks.featurestore.latencies import print_latencies
from benchmarks.featurestore.peers import Feast, Headrace, Peer, Raw
from benchmarks.featurestore.workload import FIELDS, Workload
from benchmarks.streams.report import machine
from headrace.deploy.local.redis_server import RedisServer

_IMPORTS = {
    "nothing": "pass",
    "redis-py": "import redis",
    "the SDK": "from headrace import FeatureClient",
    "the SDK and a plan": "from headrace import FeatureClient; import headrace.schemas.plan",
    "feast": "from feast import FeatureStore",
}


@dataclass(frozen=True)
class Cost:
    """The best of several rounds, seconds per item."""

    wall_s: float
    cpu_s: float


class WrongValues(Exception):
    """A peer does not read or store what it should: it gets no figure."""


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        url = options.redis or stack.enter_context(RedisServer()).url
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workload = Workload(options.rows, f"bench{uuid.uuid4().hex[:8]}")
        print(f"# Online store, {time.strftime('%Y-%m-%d %H:%M')}\n\n{machine()}\n")
        try:
            asyncio.run(_run(options, workload, url, folder))
        finally:
            _clear(url, workload)
    _imports(options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.featurestore", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="accounts (default 20,000)")
    parser.add_argument("--rounds", type=int, default=7, help="each peer in turn, so often (default 7)")
    parser.add_argument("--rate", type=int, default=200, help="requests/s under load (default 200)")
    parser.add_argument("--seconds", type=float, default=10, help="of load per peer (default 10)")
    parser.add_argument("--redis", help="URL of a running Redis; else one is started")
    return parser.parse_args()


async def _run(options: argparse.Namespace, workload: Workload, url: str, folder: Path) -> None:
    headrace, feast, raw = Headrace(workload, url), Feast(workload, url, folder), Raw(workload, url)
    peers: list[Peer] = [raw, headrace, feast]
    await _verify_writes(workload, url, headrace, feast)
    print(f"bytes per entity of {len(FIELDS)} features in Redis: {_bytes_per_entity(url, raw):.0f}\n")
    for count in (1, 100):
        found = _lookups(peers, workload, count, options.rounds)
        _table(f"lookup, {count} entities", found)
    await _verify_async(peers, workload)
    writes = [(peer, peer.prepare(range(_share(peer, workload.rows)))) for peer in peers]
    _table("bulk write", await _writes(writes, options.rounds))
    writes = [(peer, peer.prepare(range(1))) for peer in peers]
    _table("write of one row", await _writes(writes, options.rounds, times=200))
    print_latencies(workload, url, options.rate, options.seconds)


def _share(peer: Peer, rows: int) -> int:
    return min(rows, 2000) if peer.name == "feast" else rows


async def _verify_writes(workload: Workload, url: str, headrace: Peer, feast: Peer) -> None:
    """The hashes that Feast stores, and those that Headrace stores, are the same bytes."""
    some = range(min(500, workload.rows))
    await feast.write(feast.prepare(some))
    feasts = _hashes(url, workload)
    _clear(url, workload)
    await headrace.write(headrace.prepare(some))
    if _hashes(url, workload) != feasts or len(feasts) != len(some):
        raise WrongValues("Headrace and Feast store different bytes")
    await headrace.write(headrace.prepare(range(workload.rows)))


def _verify(peer: Peer, workload: Workload, accounts: Sequence[int], answer: Any) -> None:
    columns = peer.columns(answer)
    for name, values in (columns or {}).items():
        if list(values) != [workload.expected[name][account] for account in accounts]:
            raise WrongValues(f"{peer.name} reads other values of '{name}'")


async def _verify_async(peers: Sequence[Peer], workload: Workload) -> None:
    for peer in peers:
        accounts = list(range(50))
        _verify(peer, workload, accounts, await peer.read_async(accounts))


def _lookups(peers: Sequence[Peer], workload: Workload, count: int, rounds: int) -> dict[str, Cost]:
    random, times = np.random.default_rng(1), 400 // count**0.5
    costs: dict[str, list[Cost]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        asked = [random.choice(workload.rows, count, replace=False).tolist() for _ in range(int(times))]
        for peer in peers:
            _verify(peer, workload, asked[0], peer.read(asked[0]))
            wall, cpu = time.perf_counter(), time.process_time()
            for accounts in asked:
                peer.read(accounts)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            costs[peer.name].append(Cost(wall / len(asked), cpu / len(asked)))
    return {name: _best(found) for name, found in costs.items()}


async def _writes(writes: Sequence[tuple[Peer, Any]], rounds: int, times: int = 1) -> dict[str, Cost]:
    """Per row."""
    costs: dict[str, list[Cost]] = {peer.name: [] for peer, _ in writes}
    for _ in range(rounds):
        for peer, prepared in writes:
            rows = times * (len(prepared[0]) if peer.name == "headrace" else len(prepared))
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(times):
                await peer.write(prepared)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            costs[peer.name].append(Cost(wall / rows, cpu / rows))
    return {name: _best(found) for name, found in costs.items()}


def _best(costs: Sequence[Cost]) -> Cost:
    return Cost(min(cost.wall_s for cost in costs), min(cost.cpu_s for cost in costs))


def _table(title: str, costs: dict[str, Cost]) -> None:
    raw = costs["redis-py"]
    print(f"## {title}\n\n| peer | ms | CPU ms | per second | against redis-py | CPU |")
    print("|---|---|---|---|---|---|")
    for name, cost in costs.items():
        print(
            f"| {name} | {cost.wall_s * 1000:.3f} | {cost.cpu_s * 1000:.3f} | {1 / cost.wall_s:,.0f} "
            f"| {cost.wall_s / raw.wall_s:.2f}x | {cost.cpu_s / raw.cpu_s:.2f}x |"
        )
    print(flush=True)


def _imports(rounds: int) -> None:
    print("## import, CPU ms of a fresh interpreter\n\n| what | ms |\n|---|---|")
    for what, program in _IMPORTS.items():
        print(f"| {what} | {min(_import_ms(program) for _ in range(rounds)):.0f} |")


def _import_ms(program: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _bytes_per_entity(url: str, raw: Raw) -> float:
    with redis.Redis.from_url(url) as client:
        return float(np.mean([client.memory_usage(key, samples=0) for key in raw.keys[:500]]))


def _hashes(url: str, workload: Workload) -> dict[bytes, Any]:
    with redis.Redis.from_url(url) as client:
        return {key: client.hgetall(key) for key in _keys(client, workload)}


def _clear(url: str, workload: Workload) -> None:
    with redis.Redis.from_url(url) as client:
        for key in _keys(client, workload):
            client.delete(key)


def _keys(client: redis.Redis, workload: Workload) -> list[bytes]:
    return list(client.scan_iter(b"*" + workload.project.encode(), count=10_000))


if __name__ == "__main__":
    main()
