"""Commands to a Redis cluster that are not answered yet, and the servers to send them to.

A server answers MOVED for keys of a slot that it has given away, and ASK for keys that have left a slot which
it is giving away. Either way the command is sent again, to the other server; after ASK, behind ASKING.

>>> pending = PendingCommands([b"a", b"b"], [b"<GET a>", b"<GET b>"])
>>> pending.by_server(owner=lambda key: "10.0.0.1:6379")
{'10.0.0.1:6379': [0, 1]}
>>> pending.resolve(0, b"1")
>>> pending.resolve(1, exceptions.AskError("3300 10.0.0.2:6379"))
>>> pending.by_server(owner=lambda key: "10.0.0.1:6379")
{'10.0.0.2:6379': [1]}
>>> pending.packed([1]).replace(ASKING, b"<ASKING>")
b'<ASKING><GET b>'
>>> pending.resolve(1, b"2")
>>> pending.by_server(owner=lambda key: "10.0.0.1:6379"), pending.replies
({}, [b'1', b'2'])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions

from headrace.streams.connections.redis_retry import is_temporary

ASKING = b"*1\r\n$6\r\nASKING\r\n"


class PendingCommands:
    """Commands, their replies so far, and the commands that must be sent again.

    Parameters
    ----------
    keys
        The key of each command.
    commands
        Each command in the Redis protocol.

    Attributes
    ----------
    replies
        The reply of each command; None where it is not answered yet.
    error
        The last temporary error since `by_server` was called; None when all commands were answered.
    """

    def __init__(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> None:
        self._keys, self._commands = keys, commands
        self._pending = list(range(len(commands)))
        self._redirected: dict[int, str] = {}  # command to the server that takes its slot over
        self.replies: list[Any] = [None] * len(commands)
        self.error: Exception | None = None

    def by_server(self, owner: Callable[[bytes], str]) -> dict[str, list[int]]:
        """Take the positions of all commands to be sent, by server."""
        batches: dict[str, list[int]] = {}
        for position in self._pending:
            server = self._redirected.get(position) or owner(self._keys[position])
            batches.setdefault(server, []).append(position)
        self._pending, self.error = [], None
        return batches

    def packed(self, positions: Sequence[int]) -> bytes:
        """The commands at some positions, each behind ASKING where it was redirected."""
        if not self._redirected:
            return b"".join([self._commands[position] for position in positions])
        return b"".join(
            (ASKING if position in self._redirected else b"") + self._commands[position]
            for position in positions
        )

    def is_redirected(self, position: int) -> bool:
        """Whether a command was sent behind ASKING, which has a reply of its own."""
        return position in self._redirected

    def resolve(self, position: int, reply: Any) -> None:
        """Take a reply, or the error in its place; the command is sent again after a temporary error.

        Raises
        ------
        redis.RedisError
            The error, when it is permanent.
        """
        self._redirected.pop(position, None)
        if not isinstance(reply, Exception):
            self.replies[position] = reply
            return
        if not is_temporary(reply):
            raise reply
        if isinstance(reply, exceptions.AskError) and not isinstance(reply, exceptions.MovedError):
            self._redirected[position] = f"{reply.host}:{reply.port}"
        self._pending.append(position)
        self.error = reply

    def fail(self, positions: Sequence[int], error: Exception) -> None:
        """Take a broken connection as the reply to several commands; raises as `resolve` does."""
        for position in positions:
            self.resolve(position, error)
