"""Redis as production has it: a cluster, a master with sentinels, accounts, TLS. Real processes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import redis

from headrace.deploy.local.child import Child, free_port
from headrace.deploy.local.redis_server import redis_program
from tests.support.waiting import PATIENCE_S, eventually

_SLOTS = 16384


class Server:
    """One process on a free loopback port; `options` as on the command line."""

    def __init__(self, directory: Path, *options: str, sentinel_conf: str | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.port = directory, free_port()
        self._sentinel_conf = sentinel_conf
        self._options = options
        self._child: Child | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Server:
        if self._sentinel_conf is not None:
            file = self.directory / "sentinel.conf"
            file.write_text(f"port {self.port}\nbind 127.0.0.1\n{self._sentinel_conf}")
            command = [redis_program(), str(file), "--sentinel"]
        else:
            command = [redis_program(), "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
            command += ["--dir", str(self.directory), *self._options]
        self._child = Child("Redis", command, self.directory / "log").start()
        self._child.wait_until(self._answers, timeout_s=PATIENCE_S)
        return self

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                client.ping()
            except redis.AuthenticationError:
                return True
            except (redis.ConnectionError, redis.TimeoutError):
                return False
        return True

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=PATIENCE_S)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.kill()


class Cluster:
    """Three masters, which share the slots evenly.

    Each gets a free port for its bus as well: the one it would take, 10,000 above its own, is among those of
    outgoing connections.
    """

    def __init__(self, directory: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self._bus = [free_port() for _ in range(3)]
        self.nodes = [
            Server(directory / str(n), *options, "--cluster-port", str(port))
            for n, port in enumerate(self._bus)
        ]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(node.address for node in self.nodes[:2])

    def form(self) -> None:
        bounds = [n * _SLOTS // 3 for n in range(4)]
        for node, first, end in zip(self.nodes, bounds[:-1], bounds[1:], strict=True):
            with node.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
                client.execute_command("CLUSTER MEET", "127.0.0.1", self.nodes[0].port, self._bus[0])
        eventually(self._states, "a whole cluster", lambda found: set(found) == {("ok", "3")})

    def _states(self) -> list[tuple[str, str]]:
        """State and number of nodes, as each node knows them."""
        found = []
        for node in self.nodes:
            with node.client() as client:
                told = client.execute_command("CLUSTER INFO")
                found.append((told["cluster_state"], told["cluster_known_nodes"]))
        return found

    def identity(self, node: Server) -> str:
        with node.client() as client:
            name = client.execute_command("CLUSTER MYID")
        return name.decode() if isinstance(name, bytes) else str(name)


def certificates(directory: Path) -> tuple[Path, Path]:
    """Certificate of 127.0.0.1, signed by itself, and its key, made by openssl."""
    certificate, key = directory / "server.crt", directory / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextlib.contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """A port that takes TLS off and passes on to a plain server: Valkey's small build has none of its own."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, behind_writer), pass_on(behind_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
