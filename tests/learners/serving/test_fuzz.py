"""No request makes the service answer 500 or end, and every count adds up."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from headrace.deploy.local.child import free_port
from headrace.deploy.local.mock_kafka import MockKafka
from headrace.learners.serving.config import ServeConfig
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.kafka_admin import end_offsets
from tests.support.http_service import Connection, listening
from tests.support.request_fuzz import GETS, POSTS, Answers, RequestFuzz, send
from tests.support.service_scene import Scene

SEED = 12
ROUNDS = int(os.environ.get("HEADRACE_TEST_REQUESTS", "100000"))  # to each path
_COUNTED = re.compile(r'headrace_http_requests_total\{path="([^"]*)",status="(\d+)"\} ([\d.e+]+)')


class Service:
    """The service with a log, on a port."""

    def __init__(self, scene: Scene, port: int) -> None:
        self.scene, self.port = scene, port

    def ask(self, path: str, count: int) -> Answers:
        return send(RequestFuzz(path, SEED).requests(count), lambda: Connection(self.port))

    def counted(self) -> Counter[int]:
        """Answers by status, as the service has counted them before this request."""
        with Connection(self.port) as connection:
            connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            _, body = connection.whole_answer()
        found: Counter[int] = Counter()
        for _, status, value in _COUNTED.findall(body.decode()):
            found[int(status)] += int(float(value))
        return found

    def logged(self) -> dict[str, int]:
        """Records in the topics of predictions and outcomes."""
        topics = [self.scene.predictions, self.scene.outcomes]
        found: Counter[str] = Counter()
        for (topic, _), end in end_offsets(self.scene.bootstrap, topics).items():
            found[topic] += end
        return dict(found)


@pytest.fixture(scope="module")
def service(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    topics, port = RouterTopics("tfuzz", "delays"), free_port()
    broker = MockKafka({topics.predictions: 2, topics.outcomes: 2})
    scene = Scene(broker.bootstrap, redis_url, "tfuzz", tmp_path_factory.mktemp("project"))
    with listening(scene.process(ServeConfig(port=port, log_timeout_s=60.0, replica="r1")).server()):
        yield Service(scene, port)
    broker.close()


def check(service: Service, path: str, count: int) -> Answers:
    counted, logged = service.counted(), service.logged()
    answers = service.ask(path, count)
    told = service.counted()
    assert answers.statuses.total() == count
    assert {status for status in answers.statuses if not 200 <= status < 500} <= {503} & {
        status for status in answers.statuses if path == "/readyz"
    }
    assert told - counted == answers.statuses + Counter({200: 1})  # and the first look at the counts
    assert {t: n - logged.get(t, 0) for t, n in service.logged().items() if n > logged.get(t, 0)} == dict(
        answers.logged
    )
    assert answers.unlogged == 0
    return answers


@pytest.mark.parametrize("path", [*POSTS, *GETS])
def test_some_requests_of_every_kind(service: Service, path: str) -> None:
    answers = check(service, path, 400 if path in POSTS else 80)
    if path in POSTS:
        assert {200, 400, 413, 415, 421, 422, 431} - {413} <= set(answers.statuses)
        assert answers.logged


@pytest.mark.faults
@pytest.mark.parametrize("path", [*POSTS, *GETS])
def test_requests_without_end(service: Service, path: str) -> None:
    print(path, ROUNDS, dict(check(service, path, ROUNDS).statuses))
