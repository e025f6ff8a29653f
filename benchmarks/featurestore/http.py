"""Features over HTTP: `headrace features` and `feast serve`, one process each, on the same rows.

`python -m benchmarks.featurestore.http --help`. Both get the same requests, in turns: first as many as eight
connections can ask, then at one rate, half of what the slower one can; of the rounds the median. An answer of
each is verified first.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.featurestore.peers import Headrace
from benchmarks.featurestore.workload import FIELDS, NAMES, Workload
from benchmarks.streams.measure import usage_of
from benchmarks.streams.report import machine
from headrace.deploy.local.child import Child, free_port
from headrace.deploy.local.redis_server import RedisServer
from headrace.featurestore.plans.store import PlanStore

_CONNECTIONS = 8
_READY_S = 120.0


@dataclass(frozen=True)
class Server:
    """One of both, as it runs."""

    name: str
    port: int
    pid: int


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        url = stack.enter_context(RedisServer()).url
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workload = Workload(options.rows, f"bench{uuid.uuid4().hex[:8]}")
        print(f"# Features over HTTP, {time.strftime('%Y-%m-%d %H:%M')}\n\n{machine()}\n")
        _write(workload, url, folder)
        servers = [stack.enter_context(starting) for starting in _servers(folder, url)]
        for count in (1, 10, 100):
            _compare(servers, workload, count, options.rounds, options.seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.featurestore.http", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="accounts (default 20,000)")
    parser.add_argument("--rounds", type=int, default=3, help="each server in turn, so often (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement (default 5)")
    return parser.parse_args()


def _write(workload: Workload, url: str, folder: Path) -> None:
    peer = Headrace(workload, url)
    workload.feast_store(folder, url)
    asyncio.run(peer.write(peer.prepare(range(workload.rows))))
    PlanStore(url, workload.project).save(workload.plan)


def _servers(folder: Path, url: str) -> Iterator[AbstractContextManager[Server]]:
    python = str(Path(sys.executable).parent)
    ports = free_port(), free_port()
    ours = [f"{python}/headrace", "features", str(folder), "--port", str(ports[0])]
    feasts = [f"{python}/feast", "-c", str(folder), "serve", "--port", str(ports[1])]
    feasts += ["--no-access-log", "--workers", "1", "--max-requests", "0"]  # no restarts
    yield _started("headrace features", ours, ports[0], folder, {"HEADRACE_REDIS": url})
    yield _started("feast serve", feasts, ports[1], folder, {})


@contextmanager
def _started(
    name: str, command: list[str], port: int, folder: Path, more: dict[str, str]
) -> Iterator[Server]:
    log = folder / f"{name}.log"
    # Feast, which is imported here, has set where processes share their metrics: those that it starts itself.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PROMETHEUS_")}
    child = Child(name, command, log, folder, inherited | more).start()
    try:
        child.wait_until(lambda: _answers(port), _READY_S)
        yield Server(name, port, child.pid or 0)
    finally:
        child.stop()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def _compare(servers: list[Server], workload: Workload, count: int, rounds: int, seconds: float) -> None:
    for server in servers:
        _verify(server, workload, count)
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    cpu: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            before = usage_of({server.pid})[0]
            answered = asyncio.run(_flood(server.port, workload, count, seconds))
            rates[server.name].append(answered / seconds)
            cpu[server.name].append((usage_of({server.pid})[0] - before) / answered)
    rate = min(float(np.median(found)) for found in rates.values()) / 2
    print(f"## {count} entities of {len(FIELDS)} features; latencies at {rate:.0f} requests/s\n")
    print("| server | requests/s | CPU ms | p50 ms | p99 ms |\n|---|---|---|---|---|")
    late = {server.name: list[Any]() for server in servers}
    for _ in range(rounds):
        for server in servers:
            times = asyncio.run(_paced(server.port, workload, count, rate, seconds))
            late[server.name].append(np.percentile(times, [50, 99]) * 1000)
    for server in servers:
        p50, p99 = np.median(late[server.name], axis=0)
        per_s, cpu_ms = np.median(rates[server.name]), np.median(cpu[server.name]) * 1000
        print(f"| {server.name} | {per_s:,.0f} | {cpu_ms:.2f} | {p50:.2f} | {p99:.2f} |")
    print(flush=True)


def _verify(server: Server, workload: Workload, count: int) -> None:
    accounts = list(range(count))
    body = json.loads(asyncio.run(_ask_once(server.port, _request(accounts))))
    found = dict(zip(body["metadata"]["feature_names"], body["results"], strict=True))
    for field in FIELDS:
        if found[field.name]["values"] != [workload.expected[field.name][account] for account in accounts]:
            raise SystemExit(f"{server.name} reads other values of '{field.name}'")


def _request(accounts: list[int]) -> bytes:
    body = json.dumps({"features": NAMES, "entities": {"account": accounts}}).encode()
    head = "POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _requests(workload: Workload, count: int) -> Iterator[bytes]:
    """A thousand requests, again and again."""
    random = np.random.default_rng(1)
    drawn = [random.choice(workload.rows, count, replace=False).tolist() for _ in range(1000)]
    return itertools.cycle([_request(accounts) for accounts in drawn])


class _Connection:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))

    async def ask(self, request: bytes) -> bytes:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise SystemExit(f"answered with {head.decode()!r}")
        return await self._reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))

    def close(self) -> None:
        self._writer.close()


async def _ask_once(port: int, request: bytes) -> bytes:
    connection = await _Connection.open(port)
    try:
        return await connection.ask(request)
    finally:
        connection.close()


async def _flood(port: int, workload: Workload, count: int, seconds: float) -> int:
    """How many requests eight connections can ask, each the next one when the last is answered."""
    requests, answered = _requests(workload, count), 0
    end = time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal answered
        connection = await _Connection.open(port)
        while time.perf_counter() < end:
            await connection.ask(next(requests))
            answered += 1
        connection.close()

    await asyncio.gather(*(ask() for _ in range(_CONNECTIONS)))
    return answered


async def _paced(port: int, workload: Workload, count: int, rate: float, seconds: float) -> list[float]:
    """Seconds from when each request is due to its answer."""
    requests, late = _requests(workload, count), list[float]()
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(4 * _CONNECTIONS):
        idle.put_nowait(await _Connection.open(port))
    began = time.perf_counter() + 0.1

    async def ask(due: float) -> None:
        connection = await idle.get()
        await connection.ask(next(requests))
        late.append(time.perf_counter() - due)
        idle.put_nowait(connection)

    tasks = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(due)))
    await asyncio.gather(*tasks)
    while not idle.empty():
        idle.get_nowait().close()
    return late


if __name__ == "__main__":
    main()
