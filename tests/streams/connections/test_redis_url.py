"""URLs of Redis: taken apart, and refused with the way out."""

from __future__ import annotations

import pytest

from headrace.schemas.errors import SettingsError
from headrace.streams.connections.redis_url import RedisUrl


def test_a_url_is_taken_apart() -> None:
    url = RedisUrl.parse("rediss+sentinel://me:p%40@a:1,[::1]:2,c/store/3?sentinel_password=s&retries=4")
    assert (url.kind, url.tls, url.service) == ("sentinel", True, "store")
    assert url.nodes == (("a", 1), ("::1", 2), ("c", 26379))
    assert url.options == {"username": "me", "password": "p@", "db": 3}
    assert (url.sentinel_options, url.retries) == ({"password": "s"}, 4)
    assert "p@" not in str(url)
    assert RedisUrl.parse("redis+cluster://a:1,b?max_connections=7").max_connections == 7
    assert RedisUrl.parse("unix:///tmp/sock?db=2").options == {"path": "/tmp/sock", "db": 2}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:6379", "no URL of a Redis; use one that begins with one of redis://"),
        ("redis+cluser://a:1", "no URL of a Redis"),
        (
            "redis://a:1/0?soket_timeout=3",
            "option 'soket_timeout', which does not exist; did you mean 'socket_timeout'",
        ),
        ("redis://a:1/0?socket_timeout=soon", "socket_timeout"),
        ("redis+sentinel://a:1", "redis\\+sentinel://a:1/NAME"),
        ("redis+cluster://a:1/3", "database 0 alone"),
        ("redis+cluster://a:1,:2", "':2' is no host:port"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        RedisUrl.parse(url)


SECRETS = [
    "redis://me:hunter/two@store:6379/0",
    "redis://me:hunter#two@store",
    "redis://me:hunter?two@store",
    "redis://me:hun@ter@two@store",
    "redis://me:hunter/two@store/0?retries=2",
    "redis+sentinel://me:hunter/two@a:1,b:2/NAME",
    "redis+sentinel://me:hunter#two@a:1",
    "redis+cluster://me:hunter/two@a:1,b:2",
    "redis+cluster://me:hunter?two@a:1,b:2",
    "rediss://:hunter/two@store",
    "unix://me:hunter/two@socket",
    "reids://me:hunter-two@store",
    "reids:hunter-two@store",
    "http://me:hunter/two@store",
    "hunter-two@store",
    "redis://:hunter-two",
    "redis://[x:hunter-two]:1",
    "redis://store?hunter-two=1",
    "redis://store:1?password=hunter-two&protocol=x",
    "redis://store:1?password=hunter-two&sokcet_timeout=1",
    "redis+sentinel://a:1/NAME?sentinel_password=hunter-two&retries=x",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_is_in_no_refusal_of_a_url(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        RedisUrl.parse(url)
    shown: BaseException | None = raised.value
    assert not any(part in str(shown) for part in ("hunter", "ter@", "two"))
