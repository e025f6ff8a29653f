"""A service that is told to end is not ready at once, answers on, and loses no request that it was sent."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from headrace.learners.serving.config import HttpLimits
from tests.support.http_service import Connection, HttpService, http_service, post
from tests.support.waiting import eventually

LONG_S = 3600.0
READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def service() -> Iterator[HttpService]:
    with http_service(HttpLimits(request_timeout_s=600.0), LONG_S) as running:
        yield running


def tell(service: HttpService, *signals: signal.Signals) -> None:
    for each in signals:
        service.server.handle_exit(each, None)


def is_closed(service: HttpService) -> bool:
    try:
        service.connect().__exit__()
    except OSError:
        return True
    return False


def wait_until_closed(service: HttpService) -> None:
    eventually(lambda: is_closed(service), "a port that is closed", bool)


def test_told_to_end_it_is_not_ready_at_once_and_answers_on(service: HttpService) -> None:
    assert service.ask(READY) == (200, "ready")
    with service.connect() as kept:
        kept.send(post(b"1"))
        assert (kept.answer(), kept.closes) == ((200, "1"), False)
        tell(service, signal.SIGTERM)
        assert service.ask(READY) == (503, "this process is ending; ask another")
        kept.send(post(b"22"))
        assert (kept.answer(), kept.closes) == ((200, "2"), True)  # the client connects anew, elsewhere
        assert kept.ended
    assert {service.ask(post(b"1"))[0] for _ in range(300)} == {200}


def test_the_port_is_closed_when_the_time_is_over() -> None:
    with http_service(HttpLimits(), 0.2) as service:
        tell(service, signal.SIGTERM)
        wait_until_closed(service)


@pytest.mark.parametrize("signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]])
def test_a_second_sigterm_and_ctrl_c_close_it_at_once(
    service: HttpService, signals: list[signal.Signals]
) -> None:
    tell(service, *signals)
    wait_until_closed(service)


def test_one_whose_plan_is_replaced_drains_as_well(service: HttpService) -> None:
    service.server.should_exit = True  # as `run_server` does
    eventually(lambda: service.ask(READY)[0], "a service that is not ready", lambda status: status == 503)
    assert service.ask(post(b"1")) == (200, "1")


@pytest.mark.parametrize("sent", [1, 40, -1])
def test_a_request_of_which_some_has_come_is_answered_before_it_ends(service: HttpService, sent: int) -> None:
    whole = post(b"12345")
    with service.connect() as new, service.connect() as kept, service.connect() as idle:
        for connection in (kept, idle):
            connection.send(post(b"1"))
            connection.answer()
        for connection in (new, kept):
            connection.send(whole[:sent])
        _wait_for_bytes(service, 2)
        tell(service, signal.SIGTERM, signal.SIGTERM)
        wait_until_closed(service)
        assert idle.ended
        for connection in (new, kept):
            _answered_and_closed(connection, whole[sent:])


def _answered_and_closed(connection: Connection, rest: bytes) -> None:
    connection.send(rest)
    assert connection.answer() == (200, "5")
    assert connection.closes
    assert connection.ended


def _wait_for_bytes(service: HttpService, connections: int) -> None:
    """Wait until some bytes of a request have come on so many connections."""
    there = service.server.server_state.connections
    eventually(
        lambda: sum(1 for c in list(there) if c._overhead or c not in c.waiting),  # type: ignore[union-attr]
        "requests that have begun",
        lambda count: count >= connections,
    )
