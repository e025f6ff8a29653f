"""What a process makes Kafka, Redis and the disk change, numbered, and one of these effects as its last.

`watch` goes by what lies beneath every command: sockets, files, and the methods of clients of Kafka that do
not only ask. So a step that is new is counted without anybody naming it.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import confluent_kafka
from confluent_kafka.admin import AdminClient

How = Literal["before", "half", "fail"]  # ended before the effect, or in the midst of it; or it fails
FILES, REDIS, KAFKA = "file", "redis", "kafka"

_READS = frozenset(
    b"AUTH CLIENT COMMAND CONFIG CLUSTER DBSIZE EXISTS GET HELLO HEXISTS HGET HGETALL HMGET INFO MGET "
    b"PING PTTL ROLE SCAN SCRIPT SELECT STRLEN SUBSCRIBE TTL TYPE UNSUBSCRIBE".split()
)
_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n(?:\$\d+\r\n([^\r]{0,60})\r\n)?")
_LOCAL = frozenset(
    ["begin_transaction", "close", "cluster_id", "flush", "poll", "purge", "set_sasl_credentials"]
)
_ASKS = ("list_", "describe_", "_")


@dataclass(frozen=True)
class Watched:
    """What is counted, and which effect is the last.

    Attributes
    ----------
    root
        Folder whose files count.
    log
        Takes a line for each effect. All processes of a command count in it.
    last
        Number of the last effect, from 0 on; None: all happen.
    how
        How it ends. `fail`: this and all later effects of its service fail, as of a full disk.
    matching
        Counted are effects with this text alone.
    """

    root: str
    log: str
    last: int | None = None
    how: How = "before"
    matching: str = ""


class _Counter:
    def __init__(self, watched: Watched) -> None:
        self.watched, self._log, self._inside = watched, Path(watched.log), threading.local()
        self._failing: set[str] = set()

    def happens(
        self, service: str, what: str, half: Callable[[], object] | None, error: Callable[[], Exception]
    ) -> None:
        """Count an effect, and end where it is the last."""
        if getattr(self._inside, "counting", False) or self.watched.matching not in what:
            return
        self._inside.counting = True
        try:
            number = self._write(f"{service} {what}")
            if number == self.watched.last:
                if self.watched.how == "half" and half is not None:
                    half()
                if self.watched.how == "fail":
                    self._failing.add(service)
                else:
                    self._end()
            if service in self._failing:
                raise error()
        finally:
            self._inside.counting = False

    def _write(self, line: str) -> int:
        with self._log.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            number = file.read().count(b"\n")
            file.write(line.replace("\n", " ").encode() + b"\n")
        return number

    def _end(self) -> NoReturn:
        os.killpg(os.getpgrp(), signal.SIGKILL)
        raise AssertionError("it goes on after SIGKILL")


def watch(watched: Watched) -> None:
    """Count the effects of this process from now on."""
    counter = _Counter(watched)
    _watch_sockets(counter)
    _watch_files(counter)
    _watch_kafka(counter)


def _watch_sockets(counter: _Counter) -> None:
    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        def send(self: socket.socket, data: Any, *more: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                raw = bytes(data) if not isinstance(data, list) else b"".join(bytes(part) for part in data)
                names = [(a.upper(), b) for a, b in _COMMAND.findall(raw)]
                changing = [name for name in names if name[0] not in _READS]
                if changing or not names:
                    shown = f"{len(changing)} commands" if len(changing) > 1 else ""
                    first = b" ".join(changing[0]).decode(errors="replace") if changing else "more"
                    counter.happens(
                        REDIS,
                        f"{shown} {first}".strip(),
                        lambda: socket.SocketType.send(self, raw[: len(raw) // 2]),
                        lambda: ConnectionResetError(errno.ECONNRESET, "made to fail"),
                    )
            return method(self, data, *more)

        return send

    for name in ("send", "sendall", "sendmsg"):
        setattr(socket.socket, name, watched(getattr(socket.socket, name)))


def _watch_files(counter: _Counter) -> None:
    root = os.path.realpath(counter.watched.root) + os.sep

    def full() -> Exception:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def count(what: str, path: Any, half: Callable[[], object] | None = None) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            name = os.path.realpath(os.fsdecode(path))
            if name.startswith(root):
                counter.happens(FILES, f"{what} {name[len(root) :]}", half, full)

    def hook(event: str, arguments: Sequence[Any]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                count("open", path)
        elif event == "os.rename":
            count("rename to", arguments[1])
        elif event in ("os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"):
            count(event.removeprefix("os."), arguments[0])

    def fsync(descriptor: int) -> None:
        """The disk may have any part of what was written before."""
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        size = os.fstat(descriptor).st_size

        def torn() -> None:
            if not os.path.isdir(name):
                os.ftruncate(descriptor, size // 2)

        count("sync", name, torn)
        plain_fsync(descriptor)

    plain_fsync, os.fsync = os.fsync, fsync
    sys.addaudithook(hook)


def _watch_kafka(counter: _Counter) -> None:
    def failure() -> Exception:
        error = confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT, "made to fail")  # type: ignore[attr-defined]
        return confluent_kafka.KafkaException(error)

    def changing(owner: type) -> list[str]:
        names = [name for name in dir(owner) if not name.startswith(_ASKS) and name not in _LOCAL]
        return [name for name in names if callable(getattr(owner, name))]

    def watched(owner: type, name: str) -> Callable[..., Any]:
        method = getattr(owner, name)

        def call(client: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("validate_only"):
                return method(client, *args, **kwargs)

            def half() -> None:
                """The first half of what is asked for at once."""
                if args and isinstance(args[0], list) and len(args[0]) > 1:
                    answers = method(client, args[0][: len(args[0]) // 2], *args[1:], **kwargs)
                    for answer in (answers or {}).values():  # of an admin client
                        answer.exception(30)

            counter.happens(KAFKA, f"{name} {_shown(args)}".strip(), half, failure)
            answer = method(client, *args, **kwargs)
            if name.startswith("produce"):
                client.flush()  # so that what comes next finds it in the log
            return answer

        return call

    for name in changing(AdminClient):
        setattr(AdminClient, name, watched(AdminClient, name))
    plain = confluent_kafka.Producer
    methods = {name: watched(plain, name) for name in changing(plain)}
    replaced = type("Producer", (plain,), methods)
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()) if isinstance(module, type(builtins)) else ():
            if value is plain:
                setattr(module, name, replaced)


def _shown(args: Sequence[Any]) -> str:
    """The names in the first argument."""
    first = args[0] if args else ""
    if isinstance(first, list):
        return " ".join(str(getattr(each, "topic", getattr(each, "group_id", each))) for each in first)
    return f"{first}[{args[3]}]" if len(args) > 3 and isinstance(args[3], int) else str(first)


def as_arguments(watched: Watched) -> dict[str, Any]:
    return asdict(watched)
