"""What is asked of a request before it is read: its size, its time, its host and its content type."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.learners.serving.config import HttpLimits
from headrace.learners.serving.protocol import MAX_HEAD_BYTES, MAX_HEADERS
from tests.support.http_service import HttpService, http_service, post
from tests.support.waiting import eventually

BODY = 64 * 1024
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = b"GET /much HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[HttpService]:
    with http_service(HttpLimits(max_body_bytes=BODY)) as running:
        yield running


@pytest.fixture(scope="module")
def hasty() -> Iterator[HttpService]:
    """A service that waits for nobody."""
    limits = HttpLimits(max_body_bytes=BODY, request_timeout_s=0.2, max_connections=3)
    with http_service(limits) as running:
        yield running


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("raw", "status", "told"),
    [
        (post(b"x" * BODY), 200, str(BODY)),
        (post(chunk(b"x" * BODY) + chunk(b""), CHUNKED), 200, str(BODY)),
        (post(length=BODY + 1), 413, "the setting max_body_bytes"),
        (post(length=1_100_000_000), 413, "1100000000 bytes"),
        (post(b"{}").replace(b"Content-Length: ", b"Content-Length: " + b"0" * 5_000), 413, "00000 bytes"),
        (post(b"x" * (BODY + 1)), 413, "65536 are taken"),
        (post(chunk(b"x" * BODY) + chunk(b"y"), CHUNKED), 413, "more than 65536 bytes"),
        (post(b"x" * 8 * BODY), 413, "are taken"),
        (post(headers=b"A: " + b"a" * MAX_HEAD_BYTES + b"\r\n"), 431, "above 32768 bytes"),
        (b"GET /" + b"a" * MAX_HEAD_BYTES, 431, "above 32768 bytes"),
        (b"\r\n" * MAX_HEAD_BYTES, 431, "above 32768 bytes"),
        (post(headers=b"A: b\r\n" * MAX_HEADERS), 431, "above 100 headers"),
        (post(b"1;" + b"e" * 2 * MAX_HEAD_BYTES, CHUNKED), 431, "what frames its body"),
        (post(b"0\r\nA: " + b"t" * 2 * MAX_HEAD_BYTES, CHUNKED), 431, "what frames its body"),
        (post(b"1\r\nx\r\n0\r\nA: b\r\n\r\n", CHUNKED), 200, "1"),
        (b"\x16\x03\x01 hello\r\n\r\n", 400, "no HTTP/1.1 request"),
        (post(headers=b"Content-Length: 1\r\n"), 400, "no HTTP/1.1 request"),
        (post(headers=b"Host: other\r\n"), 400, "two headers host"),
        (post(headers=b"Upgrade: websocket\r\nConnection: Upgrade\r\n"), 400, "without Upgrade"),
        (post(host=b"127.0.0.1:8080"), 200, "2"),
        (post(host=b"[::1]:8080"), 200, "2"),
        (post(host=b"router"), 200, "2"),
        (post(host=b"evil.example"), 421, "the setting allowed_hosts"),
        (post(host=b"evil.example\xff"), 421, "evil.example"),
        (post(host=b"localhost:80@evil.example"), 421, "localhost"),
        (post(headers=b"Content-Type: text/plain\r\n"), 415, "send JSON as application/json"),
        (post(headers=b"Content-Type: application/x-www-form-urlencoded\r\n"), 415, "send JSON"),
        (post(headers=b"Content-Type: application/json; charset=utf-16\r\n"), 415, "in UTF-8"),
        (post(headers=b"Content-Type: Application/JSON; charset=\"UTF-8\"\r\n"), 200, "2"),
        (post(headers=b"Content-Encoding: gzip\r\n"), 415, "compressed"),
    ],
    ids=lambda value: str(value)[-40:],
)  # fmt: skip
def test_a_request_is_refused_before_it_is_read(
    service: HttpService, raw: bytes, status: int, told: str
) -> None:
    given, counted = len(service.bodies), service.counts()
    found, message = service.ask(raw)
    assert (found, message) == (status, message if told in message else told)
    assert len(service.bodies) - given == (status == 200)
    counts = service.counts()
    assert {k: n - counted.get(k, 0) for k, n in counts.items() if n > counted.get(k, 0)} == {str(status): 1}


def test_large_bodies_share_room_and_small_ones_always_have_it(service: HttpService) -> None:
    started = [service.connect() for _ in range(9)]
    for connection in started:
        connection.send(post(b"x" * (BODY - 1), length=BODY))
    refused = started[-1].answer()
    assert refused == (503, "too many large requests at once; try again")
    assert service.ask(post())[0] == 200
    for connection in started[:-1]:
        connection.send(b"x")
        assert connection.answer() == (200, str(BODY))
    for connection in started:
        connection.__exit__()


@pytest.mark.parametrize("sent", [post(length=10), post(b"5\r\nab", CHUNKED), b"POST /size HT", GET])
def test_what_does_not_come_is_not_waited_for(hasty: HttpService, sent: bytes) -> None:
    with hasty.connect() as connection:
        connection.send(sent)
        assert connection.answer()[0] == 408
        assert connection.ended


def test_a_connection_without_a_request_ends(hasty: HttpService) -> None:
    with hasty.connect() as connection:
        assert connection.ended


def test_a_client_that_does_not_read_is_given_up(hasty: HttpService) -> None:
    with hasty.connect() as connection:
        connection.send(GET + b"\r\n")
        eventually(lambda: not hasty.server.server_state.connections, "no connection")


def test_above_the_limit_the_one_that_has_waited_longest_gives_way() -> None:
    with http_service(HttpLimits(max_connections=3)) as service:
        idle = [service.connect() for _ in range(3)]
        for connection in idle:  # all are there, in this order
            connection.send(post())
            assert connection.answer() == (200, "2")
        assert service.ask(post()) == (200, "2")
        assert idle[0].ended
        idle[2].send(post())
        assert idle[2].answer() == (200, "2")
        for connection in idle:
            connection.__exit__()


def test_a_public_name_is_one_of_the_setting() -> None:
    with http_service(HttpLimits(allowed_hosts=("router.example.com",))) as service:
        assert service.ask(post(host=b"router.example.com:443")) == (200, "2")
        assert service.ask(post(host=b"other.example.com"))[0] == 421
