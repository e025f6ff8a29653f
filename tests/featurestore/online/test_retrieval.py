"""Prepared requests: which hashes and fields are read, and what their replies mean."""

from __future__ import annotations

from collections.abc import Sequence

import hiredis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.retrieval import Retrieval, Retrievals
from headrace.featurestore.online.view_replies import Reply, hash_fields
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.decoder import Provenance
from headrace.featurestore.redis_codec.protobuf import encode_timestamp
from headrace.schemas.errors import HeadraceError, UnknownNameError
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.streams.sinks import OnlineRows
from headrace.testing.online_rows import OnlineStoreInMemory
from tests.support.online_plan import TTL_MS, plan_of

PLAN = plan_of("p")
NOW_MS = 1_700_000_000_000
PRESENT, NULL, MISSING, OLD = (
    FieldStatus.PRESENT,
    FieldStatus.NULL_VALUE,
    FieldStatus.NOT_FOUND,
    FieldStatus.OUTSIDE_MAX_AGE,
)
SEVEN = layout.value_tag("Int64") + b"\x07"


def words(command: bytes) -> list[bytes]:
    """The words of one command in the Redis protocol."""
    reader = hiredis.Reader()
    reader.feed(command)
    found: list[bytes] = reader.gets()
    assert reader.gets() is False
    return found


def reply(value: bytes | None, time_ms: int | None, provenance: tuple[int, int, int] | None = None) -> Reply:
    """What Redis has of a view with one feature."""
    return [
        value,
        None if time_ms is None else encode_timestamp(time_ms * 1000),
        None if provenance is None else layout.PROVENANCE.pack(*provenance, bytes(8)),
    ]


# What is asked for.


def test_views_with_the_same_join_keys_are_read_by_one_command() -> None:
    request = Retrieval(PLAN, ["fresh:n", "info:label", "fresh:mean"]).request({"user": [5]})
    (command,) = request.commands
    fields = [*hash_fields("fresh", ["n", "mean"]), *hash_fields("info", ["label"])]
    assert words(command) == [b"HMGET", request.keys[0], *fields]


def test_views_with_other_join_keys_are_read_by_other_commands() -> None:
    request = Retrieval(PLAN, "svc").request({"user": [5, 6], "place": ["EWR", "EWR"]})
    assert len(request.commands) == 4
    assert [words(command)[1] for command in request.commands] == request.keys
    prefixes = [layout.key_prefix(names) for names in (["user"], ["place", "user"])]
    assert [key.startswith(prefixes[0]) for key in request.keys] == [True, True, False, False]
    assert all(key.startswith(prefixes[1]) for key in request.keys[2:])


def test_an_entity_is_read_once() -> None:
    request = Retrieval(PLAN, ["fresh:n"]).request({"user": [5, 6, 5, 5]})
    assert len(request.commands) == len(set(request.keys)) == 2


def test_no_rows_are_no_commands() -> None:
    request = Retrieval(PLAN, "svc").request([])
    assert (request.commands, request.keys) == ([], [])
    assert request.respond([], NOW_MS).columns == {
        "fresh__mean": [], "info__label": [], "fresh__n": [], "pair__n": [],
    }  # fmt: skip


def test_a_dict_of_columns_and_a_list_of_rows_are_the_same_request() -> None:
    retrieval = Retrieval(PLAN, ["pair:n"])
    rows = [{"user": 1, "place": "EWR", "more": "does no harm"}, {"user": 2, "place": "LGA", "more": ""}]
    columns = {"place": ["EWR", "LGA"], "user": [1, 2]}
    assert retrieval.request(rows) == retrieval.request(columns)


def test_a_join_key_that_is_missing_is_named_with_the_row_s_own() -> None:
    retrieval = Retrieval(PLAN, ["pair:n"])
    with pytest.raises(UnknownNameError, match="not found: 'place'; did you mean 'plcae'"):
        retrieval.request([{"user": 1, "place": "EWR"}, {"user": 2, "plcae": "EWR"}])


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(HeadraceError, match="'place' has 2, 'user' has 1"):
        Retrieval(PLAN, ["pair:n"]).request({"user": [1], "place": ["EWR", "LGA"]})


@pytest.mark.parametrize("features", [["fresh:n", "fresh:n"], ["fresh:n", "pair:n"]])
def test_two_features_of_one_name_are_refused(features: Sequence[str]) -> None:
    with pytest.raises(HeadraceError, match="'n' is asked for twice"):
        Retrieval(PLAN, features, full_feature_names=False)


# What replies mean.


@pytest.mark.parametrize(
    ("row", "value", "status"),
    [
        (reply(SEVEN, NOW_MS), 7, PRESENT),
        (reply(SEVEN, NOW_MS - TTL_MS), 7, PRESENT),
        (reply(SEVEN, NOW_MS - TTL_MS - 1), None, OLD),
        (reply(b"", NOW_MS), None, NULL),
        (reply(b"", NOW_MS - TTL_MS - 1), None, OLD),
        (reply(None, NOW_MS), None, MISSING),
        (reply(None, NOW_MS - TTL_MS - 1), None, MISSING),
        (reply(None, None), None, MISSING),
    ],
)
def test_a_status_follows_from_value_and_time(row: Reply, value: int | None, status: FieldStatus) -> None:
    request = Retrieval(PLAN, ["fresh:n"]).request({"user": [1]})
    response = request.respond([row], NOW_MS)
    assert (response.columns["fresh__n"], response.statuses["fresh__n"]) == ([value], [status])


def test_a_view_without_ttl_never_expires() -> None:
    request = Retrieval(PLAN, ["pair:n"]).request({"user": [1], "place": ["EWR"]})
    assert request.respond([reply(SEVEN, 0)], NOW_MS).statuses == {"pair__n": [PRESENT]}


def test_provenance_is_given_by_view() -> None:
    request = Retrieval(PLAN, ["fresh:n", "info:label"]).request({"user": [1, 2]})
    rows = [[*reply(SEVEN, 5, (3, 40, 5)), *reply(None, None)], [*reply(None, None), *reply(None, None)]]
    assert request.respond(rows, NOW_MS).provenance == {
        "fresh": [Provenance(3, 40, 5), None], "info": [None, None],
    }  # fmt: skip


def test_repeated_entities_get_the_reply_of_their_own() -> None:
    request = Retrieval(PLAN, ["fresh:n"]).request({"user": [1, 2, 1]})
    rows = [reply(SEVEN, NOW_MS), reply(None, None)]
    assert request.respond(rows, NOW_MS).columns == {"fresh__n": [7, None, 7]}


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["EWR", "LGA", "Zürich"])), max_size=12))
def test_what_was_written_is_read(entities: list[tuple[int, str]]) -> None:
    store, users, places = OnlineStoreInMemory(PLAN), np.arange(10), [b"EWR", b"LGA", "Zürich".encode()]
    for number, place in enumerate(places):
        columns = (
            (users * 10 + number, np.ones(10, np.bool_)),
            (users / 2 + number, users % 3 > 0),
        )
        keys = (np.full(10, place), users)
        store.write(OnlineRows("pair", keys, columns, partition=number, offset=9, as_of_ms=NOW_MS))
    request = Retrieval(PLAN, ["pair:mean", "pair:n"]).request(
        {"user": [user for user, _ in entities], "place": [place for _, place in entities]}
    )
    response = request.respond(store.replies(request), NOW_MS)
    numbers = [places.index(place.encode()) for _, place in entities]
    assert response.columns["pair__n"] == [
        user * 10 + number for (user, _), number in zip(entities, numbers, strict=True)
    ]
    assert response.columns["pair__mean"] == [
        user / 2 + number if user % 3 else None for (user, _), number in zip(entities, numbers, strict=True)
    ]
    assert response.provenance["pair"] == [Provenance(number, 9, NOW_MS) for number in numbers]


# What is prepared once.


def test_features_are_prepared_once() -> None:
    retrievals = Retrievals(PLAN, None)
    assert retrievals.cached(["fresh:n"], True) is None
    prepared = retrievals.get(["fresh:n"], True)
    assert retrievals.get(("fresh:n",), True) is retrievals.cached(["fresh:n"], True) is prepared
    assert retrievals.get(["fresh:n"], False) is not prepared
    assert retrievals.get("svc", True) is retrievals.get("svc", True)


# Names.


def batch_view(name: str, key: str, feature: str) -> BatchViewSpec:
    fields = (FieldSpec(name=key, dtype="Int64"), FieldSpec(name=feature, dtype="Int64"))
    return BatchViewSpec(name=name, join_keys=fields[:1], features=fields[1:])


CLASHING = PLAN.model_copy(
    update={
        "batch_views": (
            batch_view("a", "user", "b__c"),
            batch_view("a__b", "user", "c"),
            batch_view("owners", "item", "user"),
        )
    }
)


def test_two_features_of_one_full_name_are_not_read_together_and_each_is_alone() -> None:
    for full_feature_names in (True, False):
        with pytest.raises(HeadraceError, match="'a:b__c' and feature 'a__b:c' are both called 'a__b__c'"):
            Retrieval(CLASHING, ["a:b__c", "a__b:c"], full_feature_names)
    for name, own in (("a:b__c", "b__c"), ("a__b:c", "c")):
        request = Retrieval(CLASHING, [name]).request({"user": [5]})
        assert words(request.commands[0])[2] == hash_fields(*name.split(":")[:1], [own])[0]


def test_a_feature_that_is_called_as_a_join_key_needs_its_full_name() -> None:
    names = ["owners:user", "a:b__c"]
    assert Retrieval(CLASHING, names).join_keys == ["item", "user"]
    with pytest.raises(HeadraceError, match="'user' is called as a join key is; ask with full_feature_names"):
        Retrieval(CLASHING, names, full_feature_names=False)
    assert Retrieval(CLASHING, names[:1], full_feature_names=False).join_keys == ["item"]
