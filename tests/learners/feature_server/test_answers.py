"""The two ways to an answer: of what is stored alone, and of a response of the SDK. They say the same."""

from __future__ import annotations

import json
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.online.retrieval import Retrieval
from headrace.featurestore.online.view_replies import Reply
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.protobuf import encode_timestamp
from headrace.learners.feature_server.answers import AnswerWriter
from tests.support.online_plan import TTL_MS, plan_of

PLAN = plan_of("p")
NOW_MS = 1_700_000_000_000
NAMES = ["fresh:n", "fresh:mean", "info:label", "pair:n"]
CELLS: dict[str, Any] = {
    "n": st.integers(0, 127).map(lambda n: layout.value_tag("Int64") + bytes([n])),
    "mean": st.sampled_from([0.0, 1.5, float("nan"), float("inf")]).map(
        lambda x: layout.value_tag("Float64") + layout_double(x)
    ),
    "label": st.sampled_from(["", "a", "ü\n"]).map(
        lambda text: layout.value_tag("String") + bytes([len(text.encode())]) + text.encode()
    ),
}
TIMES = st.sampled_from([NOW_MS, NOW_MS - 250, NOW_MS - TTL_MS, NOW_MS - TTL_MS - 1])


def layout_double(value: float) -> bytes:
    return struct.pack("<d", value)


@st.composite
def asked_and_replies(draw: st.DrawFn) -> tuple[Retrieval, dict[str, list[Any]], list[Reply]]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    retrieval = Retrieval(PLAN, names, full_feature_names=draw(st.booleans()) or "pair:n" in names)
    rows = draw(st.integers(0, 4))
    entities: dict[str, list[Any]] = {
        "user": draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows)),
        "place": ["EWR"] * rows,
    }
    replies = []
    for group in retrieval._groups:
        for _ in range(len(dict.fromkeys(entities["user"]))):
            replies.append([cell for view in group.views for cell in draw(view_cells(view.columns))])
    return retrieval, {name: entities[name] for name in retrieval.join_keys}, replies


@st.composite
def view_cells(draw: st.DrawFn, columns: tuple[str, ...]) -> list[bytes | None]:
    if draw(st.booleans()) and draw(st.booleans()):
        return [None] * (len(columns) + 2)  # there is no such row
    values = [draw(CELLS[name.rpartition("__")[2]] | st.sampled_from([b"", None])) for name in columns]
    return [*values, encode_timestamp(draw(TIMES) * 1000), None]


@given(asked_and_replies())
def test_both_ways_say_the_same(made: tuple[Retrieval, dict[str, list[Any]], list[Reply]]) -> None:
    retrieval, entities, replies = made
    keys = {key.name: key.dtype for key in PLAN.request_keys(retrieval.features.values())}
    features = {name: PLAN.dtype_of(ref) for name, ref in retrieval.features.items()}
    views = {name: ref.view_name for name, ref in retrieval.features.items()}
    writer = AnswerWriter(keys, features, views, retrieval.places)
    request = retrieval.request(entities)
    response = request.respond(replies, NOW_MS)
    expected = writer.write(response, request.event_times(replies))
    found = writer.write_stored(request.inputs, request.stored(replies, NOW_MS))
    assert found == expected
    told = json.loads(found)
    assert told["metadata"]["feature_names"] == [*entities, *retrieval.features]
    assert len(told["results"]) == len(entities) + len(retrieval.features)
