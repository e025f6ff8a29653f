"""Names in a plan: whoever made it, none of them leads out of a topic's name, a key or a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from tests.support.golden.store_states import write_plan

PLAN = json.loads(write_plan()[0])
ESCAPES = ["..", ".", "../../etc", "a/b", "a\\b", "", "a\nb", "a\x00", "\x1b[2J", "x" * 300, "\ud800"]
PARTS_ONLY = ["größe", "a b", ".hidden", "_first", "a|b", "a:b", "x" * 101]
PARTS: list[tuple[Any, ...]] = [
    ("project",),
    ("sources", 0, "name"),
    ("routers", 0, "name"),
    ("routers", 0, "arms", 0),
    ("routers", 0, "champion"),
]
FOLDERS: list[tuple[Any, ...]] = [("stream_views", 0, "name")]
FIELDS: list[tuple[Any, ...]] = [
    ("stream_views", 0, "join_keys", 0, "name"),
    ("stream_views", 0, "aggregations", 0, "feature"),
    ("stream_views", 0, "aggregations", 0, "column"),
    ("sources", 0, "timestamp_field"),
    ("routers", 0, "target"),
    ("routers", 0, "unit"),
    ("routers", 0, "entities", 0),
]
LEARNER = {"name": "tree", "service": "s", "request": ["hour"], "target": "late", "definition": "d"}
SERVICE: dict[str, Any] = {"name": "s", "features": []}
BATCH: dict[str, Any] = {"name": "b", "join_keys": [], "features": []}
ON_DEMAND: dict[str, Any] = {
    "name": "o", "mode": "pandas", "inputs": [], "request": [], "features": [],
    "file": "f.py", "definition": "d",
}  # fmt: skip


def named(path: tuple[Any, ...], name: str) -> str:
    raw = json.loads(json.dumps(PLAN))
    where = raw
    for step in path[:-1]:
        where = where[step]
    where[path[-1]] = name
    return json.dumps(raw)


def added(kind: str, spec: dict[str, Any], name: str) -> str:
    return json.dumps({**PLAN, kind: [{**spec, "name": name}]})


def places() -> Iterator[tuple[str, Callable[[str], str], list[str]]]:
    """Where names stand, how to put one there, and which are refused there."""
    for path in PARTS:
        yield ".".join(map(str, path)), lambda name, at=path: named(at, name), ESCAPES + PARTS_ONLY
    yield "learners.0.name", lambda name: added("learners", LEARNER, name), ESCAPES + PARTS_ONLY
    for path in FOLDERS:
        yield ".".join(map(str, path)), lambda name, at=path: named(at, name), [*ESCAPES, ".hidden"]
    for kind, spec in (("services", SERVICE), ("batch_views", BATCH), ("on_demand_views", ON_DEMAND)):
        yield f"{kind}.0.name", lambda name, k=kind, s=spec: added(k, s, name), [*ESCAPES, ".hidden"]
    for path in FIELDS:
        yield ".".join(map(str, path)), lambda name, at=path: named(at, name), ["", "a\nb", "\x1b", "x" * 300]
    yield "sources.0.topic", lambda name: named(("sources", 0, "topic"), name), [*ESCAPES, "a b", "größe"]


@pytest.mark.parametrize(("where", "put", "refused"), list(places()), ids=[place[0] for place in places()])
def test_a_plan_with_a_name_that_none_may_have_is_refused_when_it_is_read(
    where: str, put: Callable[[str], str], refused: list[str]
) -> None:
    assert Plan.from_json(put("clicks_2"))
    for name in refused:
        with pytest.raises(PlanError, match=rf"the plan cannot be read: {where}.*headrace apply") as caught:
            Plan.from_json(put(name))
        assert str(caught.value).isprintable()


def test_views_and_fields_may_be_called_by_any_word() -> None:
    for name in ("größe", "clicks by user", "a.b", "x|y", "_first", "日本"):
        assert Plan.from_json(named(("stream_views", 0, "name"), name)).stream_views[0].name == name
        assert Plan.from_json(named(FIELDS[0], name))
    assert Plan.from_json(named(FIELDS[0], "a/b"))
