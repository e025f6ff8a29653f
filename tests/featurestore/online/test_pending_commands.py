"""Commands to a cluster: sent again to the right server until each has its reply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions

from headrace.featurestore.online.pending_commands import ASKING, PendingCommands

KEYS = [b"a", b"b", b"c"]
OWNERS = {b"a": "one:1", b"b": "two:2", b"c": "one:1"}
TEMPORARY = st.sampled_from(
    [
        exceptions.AskError("0 other:3"),
        exceptions.MovedError("0 other:3"),
        exceptions.TryAgainError("later"),
        exceptions.ClusterDownError("nobody"),
        exceptions.ConnectionError("gone"),
        exceptions.TimeoutError("late"),
    ]
)


def commands() -> PendingCommands:
    return PendingCommands(KEYS, [b"<" + key + b">" for key in KEYS])


def test_commands_go_to_the_owners_of_their_keys() -> None:
    assert commands().by_server(OWNERS.__getitem__) == {"one:1": [0, 2], "two:2": [1]}


def test_what_is_taken_is_not_taken_twice() -> None:
    pending = commands()
    pending.by_server(OWNERS.__getitem__)
    assert pending.by_server(OWNERS.__getitem__) == {}


def test_after_ask_the_other_server_is_told_asking_once() -> None:
    pending = commands()
    pending.by_server(OWNERS.__getitem__)
    pending.resolve(1, exceptions.AskError("0 other:3"))
    assert pending.by_server(OWNERS.__getitem__) == {"other:3": [1]}
    assert (pending.packed([1]), pending.is_redirected(1)) == (ASKING + b"<b>", True)
    pending.resolve(1, exceptions.TryAgainError("later"))
    assert pending.by_server(OWNERS.__getitem__) == {"two:2": [1]}
    assert (pending.packed([1]), pending.is_redirected(1)) == (b"<b>", False)


def test_after_moved_the_owner_is_asked_for_anew() -> None:
    pending = commands()
    pending.by_server(OWNERS.__getitem__)
    pending.resolve(1, exceptions.MovedError("0 other:3"))
    assert pending.by_server(lambda key: "other:3") == {"other:3": [1]}
    assert not pending.is_redirected(1)


@pytest.mark.parametrize(
    "error", [exceptions.ResponseError("WRONGTYPE no hash"), exceptions.AuthenticationError("no password")]
)
def test_a_permanent_error_is_raised(error: Exception) -> None:
    pending = commands()
    pending.by_server(OWNERS.__getitem__)
    with pytest.raises(type(error)):
        pending.resolve(0, error)


@given(st.lists(st.lists(st.none() | TEMPORARY, min_size=3, max_size=3), max_size=6))
def test_each_command_has_its_reply_in_the_end(rounds: list[list[Exception | None]]) -> None:
    """Whatever errors came before: each round gives every command that it sends an error or its reply."""
    pending = commands()
    for errors in [*rounds, [None] * 3]:
        failed = [
            error
            for positions in pending.by_server(OWNERS.__getitem__).values()
            for position in positions
            if (error := errors[position]) is not None or pending.resolve(position, KEYS[position])
            for _ in [pending.resolve(position, error)]
        ]
        assert (pending.error is not None) == bool(failed)
    assert pending.replies == KEYS
