from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.deploy.local.child import free_port
from headrace.schemas.errors import SettingsError
from headrace.streams.runtime.bounded_http import HEAD_BYTES, BoundedHandler, BoundedHttpServer
from headrace.streams.runtime.health import PartitionHealth, PlanHealth, ProcessHealth, Sample
from headrace.streams.runtime.health_server import serve_health
from headrace.streams.runtime.watchdog import Watchdog
from tests.support.process_health import ask
from tests.support.waiting import PATIENCE_S

PLAN = PlanHealth("5e884898da28047151d0e56f8dc62927")


def watchdog_of(*samples: Sample) -> Watchdog:
    parts = (PartitionHealth("clicks", 0, 5, clock_ms=1000, counts={"applied": 5}),)
    return watching(ProcessHealth(parts, True, 0.5, samples=samples, plan=PLAN))


def watching(health: ProcessHealth) -> Watchdog:
    return Watchdog("127.0.0.1:1", lambda: health, 60)


@pytest.mark.parametrize(
    ("health", "path", "answer"),
    [
        (ProcessHealth((), False, 0.0, plan=PLAN), "/readyz", (503, "no partitions are assigned yet\n")),
        (
            ProcessHealth((PartitionHealth("clicks", 3),), True, 0.0, plan=PLAN),
            "/readyz",
            (503, "restoring clicks[3]\n"),
        ),
        (
            ProcessHealth((PartitionHealth("clicks", 3, 0),), True, 0.0, plan=PLAN),
            "/readyz",
            (200, "ready\nplan 5e884898da28\n"),
        ),
        (
            ProcessHealth((), True, 0.0, plan=PlanHealth(PLAN.plan, "0123456789abcdef")),
            "/readyz",
            (
                200,
                "ready\nplan 5e884898da28 is not in force any more, 0123456789ab is: "
                "start this process anew\n",
            ),
        ),
        (ProcessHealth((), True, 1.0, plan=PLAN), "/healthz", (200, "last checkpoint 1.0 s ago\n")),
        (ProcessHealth((), True, 61.0, plan=PLAN), "/healthz", (503, "last checkpoint 61.0 s ago\n")),
        (
            ProcessHealth((), True, 61.0, "redis", plan=PLAN),
            "/healthz",
            (200, "last checkpoint 61.0 s ago; waiting for redis\n"),
        ),
    ],
)
def test_probes_tell_the_state(health: ProcessHealth, path: str, answer: tuple[int, str]) -> None:
    port = free_port()
    server = serve_health("127.0.0.1", port, watching(health))
    try:
        assert ask(port, path) == answer
    finally:
        server.shutdown()
        server.server_close()


def test_partitions_that_are_not_read_are_counted_and_the_process_is_ready() -> None:
    health = ProcessHealth((PartitionHealth("clicks", 0, 5),), True, 0.5, unread=(("clicks", 4),), plan=PLAN)
    dog, port = watching(health), free_port()
    dog.ends = {("clicks", 0): 9, ("clicks", 4): 1234}
    server = serve_health("127.0.0.1", port, dog)
    try:
        _, told = ask(port, "/metrics")
        assert 'headrace_unread_records{partition="4",topic="clicks"} 1234.0' in told
        assert ask(port, "/readyz") == (200, "ready\nplan 5e884898da28\n")
    finally:
        server.shutdown()
        server.server_close()


def test_samples_of_one_name_are_one_metric_and_what_grows_is_a_counter() -> None:
    port = free_port()
    fates = [
        Sample("outcomes", "What became", {"fate": fate}, n) for n, fate in enumerate(("late", "orphan"))
    ]
    server = serve_health("127.0.0.1", port, watchdog_of(*fates, Sample("learned", "L", {}, 7, grows=True)))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
            found = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    finally:
        server.shutdown()
        server.server_close()
    assert [(s.labels["fate"], s.value) for s in found["headrace_outcomes"].samples] == [
        ("late", 0),
        ("orphan", 1),
    ]
    assert (found["headrace_learned"].type, found["headrace_learned"].samples[0].value) == ("counter", 7)
    (plan,) = found["headrace_plan"].samples
    assert (plan.labels, plan.value) == ({"plan": PLAN.plan}, 1)
    assert found["headrace_plan_replaced"].samples[0].value == 0
    assert found["headrace_position"].samples[0].value == 5
    assert found["headrace_keys"].samples == []


@pytest.mark.parametrize("path", ["metrics", "readyz", "healthz"])
def test_what_fails_while_it_is_looked_at_is_told(path: str) -> None:
    def fail() -> ProcessHealth:
        raise RuntimeError("dictionary changed size during iteration")

    server = serve_health("127.0.0.1", 0, Watchdog("localhost:1", fail, 60.0))
    answer = asked(server.server_port, b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
    assert b" 503 " in answer.split(b"\r\n")[0]
    assert b"RuntimeError" in answer
    server.shutdown()
    server.server_close()


def test_a_port_that_is_taken_is_named_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port} for metrics: .*HEADRACE_METRICS_PORT"):
            serve_health("127.0.0.1", port, watchdog_of())


def asked(port: int, raw: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(raw)
        return connection.makefile("rb").read()


@pytest.mark.parametrize(
    ("host", "status"),
    [(b"127.0.0.1:9000", b"200"), (b"worker.prod.svc", b"200"), (b"evil.example", b"421")],
)
def test_a_page_of_another_host_reads_nothing(host: bytes, status: bytes) -> None:
    server = serve_health("127.0.0.1", 0, watchdog_of())
    try:
        answer = asked(server.server_port, b"GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
    finally:
        server.shutdown()
        server.server_close()
    assert answer.split()[1] == status


@pytest.mark.parametrize("begun", [b"", b"GET /metr", b"GET /healthz HTTP/1.1\r\nA: b\r\n"])
def test_clients_that_send_nothing_do_not_take_the_place_of_a_probe(begun: bytes) -> None:
    server = serve_health("127.0.0.1", 0, watchdog_of())
    slow = [socket.create_connection(server.server_address, timeout=PATIENCE_S) for _ in range(40)]
    try:
        for connection in slow:
            connection.sendall(begun)
        assert asked(server.server_port, b"GET /healthz HTTP/1.1\r\n\r\n").split()[1] == b"200"
        assert slow[0].recv(1) == b""
    finally:
        server.shutdown()
        server.server_close()
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA: " + b"a" * HEAD_BYTES + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + (b"A: " + b"a" * (HEAD_BYTES // 8) + b"\r\n") * 8 + b"\r\n",
    ],
    ids=["line", "header", "headers"],
)
def test_a_head_is_read_up_to_a_bound(head: bytes) -> None:
    server = serve_health("127.0.0.1", 0, watchdog_of())
    try:
        with (
            socket.create_connection(server.server_address, timeout=PATIENCE_S) as connection,
            contextlib.suppress(ConnectionError),  # it is closed with bytes left unread
        ):
            connection.sendall(head)
            assert connection.recv(1) == b""
        most = b"GET /healthz HTTP/1.1\r\nA: " + b"a" * (HEAD_BYTES - 100) + b"\r\n\r\n"
        assert asked(server.server_port, most).split()[1] == b"200"
    finally:
        server.shutdown()
        server.server_close()


def test_a_connection_ends_with_its_time() -> None:
    server = BoundedHttpServer(("127.0.0.1", 0), BoundedHandler, request_s=0.0)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=PATIENCE_S) as slow:
            assert slow.recv(1) == b""
    finally:
        server.shutdown()
        server.server_close()
