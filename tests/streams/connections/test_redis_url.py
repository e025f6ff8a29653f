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
        ("127.0.0.1:6379", "begins no URL of a Redis; use one of redis://"),
        ("redis+cluser://a:1", "begins no URL"),
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
