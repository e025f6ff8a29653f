"""Requests of every kind, good and bad, by a seed; and a client that sends them and counts the answers."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.support.http_service import Connection

POSTS = ("/v1/predict", "/v1/predict:batch", "/v1/outcomes")
GETS = ("/v1/routers", "/v1/arms", "/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere")
FEATURES = "/get-online-features"
PUSH = "/push"
_TOGETHER = 8  # connections

# What stands in the place of a value, as it stands in JSON.
_VALUES: tuple[str, ...] = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e155", "1e308", "1e-400", "-0.0", "7.0", "0", "-1", "true",
    "null", "9223372036854775807", "9223372036854775808", "10000000000000000000", "4102444800000",
    "-9223372036854775808", '"\\ud800"', '"\\u0000"', '"a\\u0000"', '"\\u001b[2J"', '"\\u202e"',
    '"\\ud83d\\ude00"', '""', '"NaN"', '"7"', "[]", "{}", "[1]", '{"a": 1}', "01", "+1", ".5", "tru", "'x'",
    '"', "\x00", "\\", "1 2", "0x10", "1_000",
)  # fmt: skip
_HEADERS: tuple[bytes, ...] = (
    b"Host: evil.example\r\n", b"Host: \xff\r\n", b"Host:\r\n", b"Content-Type: text/plain\r\n",
    b"Content-Type: \r\n", b"Content-Encoding: gzip\r\n", b"X: " + b"x" * 40_000 + b"\r\n", b"A: b\r\n" * 120,
    b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"no header\r\n", b"\x00: \x00\r\n",
)  # fmt: skip


@dataclass
class Answers:
    """Answers by status, records that were answered as logged by topic, and how many were not."""

    statuses: Counter[int] = field(default_factory=Counter)
    logged: Counter[str] = field(default_factory=Counter)
    unlogged: int = 0


class RequestFuzz:
    """Makes requests to one path.

    Parameters
    ----------
    path
        One of `POSTS` or `GETS`.
    seed
        Another one makes other requests.
    """

    def __init__(self, path: str, seed: int) -> None:
        self._path, self._random = path, random.Random(f"{path} {seed}")

    def requests(self, count: int) -> Iterator[bytes]:
        """Yield bytes of requests."""
        for _ in range(count):
            yield self._post() if self._path in (*POSTS, FEATURES, PUSH) else self._get()

    def _get(self) -> bytes:
        chosen = self._random
        query = chosen.choice([b"", b"?router=delays", b"?router=delay", b"?router=%ff", b"?" + b"q" * 3_000])
        method = chosen.choice([b"GET"] * 8 + [b"PUT", b"DELETE"])
        headers = chosen.choice([b"Host: localhost\r\n"] * 5 + [*_HEADERS])
        return b"%s %s%s HTTP/1.1\r\n%s\r\n" % (method, self._path.encode(), query, headers)

    def _post(self) -> bytes:
        body, chosen = self._body(), self._random
        if chosen.random() < 0.05:
            extra = chosen.choice(_HEADERS)
            return self._head(extra, len(body) if b"Content-Length" not in extra else None) + body
        if chosen.random() < 0.1:
            return self._head(b"Host: localhost\r\nTransfer-Encoding: chunked\r\n", None) + self._chunks(body)
        return self._head(b"Host: localhost\r\n", len(body)) + body

    def _head(self, headers: bytes, length: int | None) -> bytes:
        kind = b"" if b"Content-Type" in headers else b"Content-Type: application/json\r\n"
        size = b"" if length is None else b"Content-Length: %d\r\n" % length
        return b"POST %s HTTP/1.1\r\n%s%s%s\r\n" % (self._path.encode(), headers, kind, size)

    def _chunks(self, body: bytes) -> bytes:
        cut = self._random.randrange(len(body) + 1)
        parts = [part for part in (body[:cut], body[cut:]) if part]
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    def _body(self) -> bytes:
        chosen = self._random
        text = json.dumps(self._sound())
        match chosen.random():
            case share if share < 0.3:
                return text.encode()
            case share if share < 0.85:
                return self._with_value(text).encode("utf-8", "surrogatepass")
            case share if share < 0.9:
                return text.encode()[: chosen.randrange(len(text))]
            case share if share < 0.95:
                return chosen.randbytes(chosen.randrange(1, 60))
            case share if share < 0.99:
                return self._with_value(self._with_value(text)).encode("utf-8", "surrogatepass")
        return chosen.choice([b"[" * 100_000, b"7" * 5_000, b'{"a":' * 300, self._large(), b"\xef\xbb\xbf{}"])

    def _large(self) -> bytes:
        body = self._one() | {"entities": {"origin": "x" * self._random.choice([1_500_000, 2_500_000])}}
        return json.dumps(body).encode()

    def _with_value(self, text: str) -> str:
        """Replace one value of a body, or the name of one."""
        places = [place for place in range(len(text)) if text[place] in ":[" and place + 2 < len(text)]
        place = self._random.choice(places or [0])
        end = min((at for char in ",}]" if (at := text.find(char, place + 1)) >= 0), default=len(text))
        return f"{text[: place + 1]} {self._random.choice(_VALUES)}{text[end:]}"

    def _sound(self) -> Any:
        count = self._random.randrange(1, 5)
        if self._path == "/v1/predict":
            return self._one()
        if self._path == "/v1/predict:batch":
            return {"requests": [self._one() for _ in range(count)]}
        if self._path == FEATURES:
            return self._asked(count)
        if self._path == PUSH:
            return self._pushed(count)
        if self._random.random() < 0.5:
            return self._outcome()
        return {"outcomes": [self._outcome() for _ in range(count)]}

    def _one(self) -> dict[str, Any]:
        chosen = self._random
        request = {"distance": chosen.randrange(3000), "flight": chosen.choice(["UA1", 7, 7.0, "ü", 2**40])}
        body: dict[str, Any] = {
            "entities": {"origin": chosen.choice(["EWR", "JFK", "?"])},
            "request": request,
        }
        return body | chosen.choice([{}, {"ts_ms": 5_000}, {"key": "k"}, {"key": 7}, {"prediction_id": "p"}])

    def _asked(self, rows: int) -> dict[str, Any]:
        chosen = self._random
        entities: dict[str, Any] = {"team": chosen.choices(["a", "ü", "nobody"], k=rows)}
        body = {"entities": entities | {"odds": chosen.choices([1.5, None], k=rows)}}
        named = chosen.choice([{"features": ["squads:goals"]}, {"feature_service": "valued"}])
        return body | named | chosen.choice([{}, {"full_feature_names": True}])

    def _pushed(self, rows: int) -> dict[str, Any]:
        """Rows for `tests.support.pushed_plan`."""
        chosen = self._random
        df: dict[str, Any] = {
            "user": chosen.choices([1, 2, 3.0], k=rows),
            "place": chosen.choices(["a", "ü", ""], k=rows),
            "points": chosen.choices([0.5, 7, None, "Infinity"], k=rows),
            "name": chosen.choices(["ada", None], k=rows),
            "at": chosen.choices(["2024-01-01T00:00:00Z", "2024-01-01 09:00:00+09:00", "2024-02-03"], k=rows),
        }
        return {"push_source_name": "scores", "df": df} | chosen.choice([{}, {"to": "online"}])

    def _outcome(self) -> dict[str, Any]:
        named = self._random.choice([{"key": "UA1"}, {"key": 7.0}, {"prediction_id": "p"}])
        return {"label": self._random.choice([0, 1, 0.5, True]), **named}


def send(requests: Iterable[bytes], connect: Callable[[], Connection]) -> Answers:
    """Send requests over several connections at once, and count the answers."""
    answers = Answers()
    open_ = [connect() for _ in range(_TOGETHER)]
    waiting = iter(requests)
    while group := list(islice(waiting, _TOGETHER)):
        for place, raw in enumerate(group):
            open_[place] = _sent(open_[place], raw, connect)
        for connection, _ in zip(open_, group, strict=False):
            _count(answers, *connection.whole_answer())
    for connection in open_:
        connection.__exit__()
    return answers


def _sent(connection: Connection, raw: bytes, connect: Callable[[], Connection]) -> Connection:
    """Send, on a new connection where the service has closed the last one."""
    if connection.closes or connection.is_closed:
        connection.__exit__()
        connection = connect()
    connection.send(raw)
    return connection


def _count(answers: Answers, status: int, body: bytes) -> None:
    answers.statuses[status] += 1
    if status != 200 or not body.startswith(b"{"):
        return
    told = json.loads(body)
    for each in told.get("predictions") or told.get("outcomes") or [told]:
        if "logged" in each:
            if each["logged"]:
                answers.logged[each["log"]["topic"]] += 1
            answers.unlogged += not each["logged"]
