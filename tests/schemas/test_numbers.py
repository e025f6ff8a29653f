"""Numbers in a plan: whoever made it, none of them makes a process divide by zero, allocate or overflow."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt
from hypothesis import given
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from headrace.schemas.errors import PlanError
from headrace.schemas.numbers import LONGEST_MS, MOST_TILES
from headrace.schemas.plan import Plan
from headrace.schemas.spec import Spec
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.shard import Shard
from headrace.streams.state.source_partition import SourcePartition
from tests.support.golden.store_states import write_plan
from tests.support.properties import tries
from tests.support.purchases import purchases_plan

Path = tuple[Any, ...]
PLAN: dict[str, Any] = json.loads(write_plan()[0])
ABSURD = [-1, -(2**63), 10**18, 2**63, 10**400, 1e308, float("inf"), float("-inf"), float("nan")]
UP_TO = {"least": 1e309, "most": 1e309, "quantum": 1e101}  # where large numbers make sense


def leaves(raw: Any, path: Path = ()) -> Iterator[Path]:
    """Where the numbers of a plan are."""
    if isinstance(raw, dict | list):
        for step, inner in raw.items() if isinstance(raw, dict) else enumerate(raw):
            yield from leaves(inner, (*path, step))
    elif isinstance(raw, int | float) and not isinstance(raw, bool) and path != ("version",):
        yield path


def changed(raw: dict[str, Any], path: Path, number: float) -> str:
    raw = json.loads(json.dumps(raw))
    where: Any = raw
    for step in path[:-1]:
        where = where[step]
    where[path[-1]] = number
    return json.dumps(raw)


KINDS = {".".join(step for step in path if isinstance(step, str)): path for path in leaves(PLAN)}


@pytest.mark.parametrize("path", KINDS.values(), ids=KINDS.keys())
def test_a_plan_with_an_absurd_number_is_refused_when_it_is_read(path: Path) -> None:
    assert Plan.from_json(json.dumps(PLAN))
    for number in ABSURD:
        if 0 < abs(number) < UP_TO.get(path[-1], 0) and (number > 0 or path[-1] != "quantum"):
            continue
        where = ".".join(map(str, path[:2]))
        with pytest.raises(PlanError, match=rf"cannot be read: {where}.*headrace apply|not JSON") as caught:
            Plan.from_json(changed(PLAN, path, number))
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (("sources", 0, "tile_ms"), 0),
        (("sources", 0, "tile_ms"), 7),
        (("sources", 0, "late_tiles"), LONGEST_MS),
        (("sources", 0, "shards"), 10**9),
        (("stream_views", 0, "aggregations", 0, "hop_ms"), 0),
        (("stream_views", 0, "aggregations", 0, "window_ms"), 0),
        (("stream_views", 0, "aggregations", 0, "window_ms"), 1),
        (("stream_views", 0, "aggregations", 0, "window_ms"), 10 * MOST_TILES * 86_400_000),
        (("routers", 0, "policy", "floor"), 0.9),
        (("routers", 0, "refresh_ms"), 0),
    ],
    ids=str,
)
def test_numbers_that_do_not_fit_one_another_are_refused(path: Path, number: float) -> None:
    with pytest.raises(PlanError, match="the plan cannot be read"):
        Plan.from_json(changed(PLAN, path, number))


def specs(kind: type[Spec] = Spec) -> Iterator[type[Spec]]:
    for each in kind.__subclasses__():
        yield each
        yield from specs(each)


def parts(annotation: Any) -> Iterator[Any]:
    """The types that a type is made of, those with constraints whole."""
    inner = typing.get_args(annotation)
    if hasattr(annotation, "__metadata__") or typing.get_origin(annotation) is typing.Literal or not inner:
        yield annotation
    else:
        assert typing.get_origin(annotation) in (tuple, dict, typing.Union, types.UnionType)
        for each in inner:
            yield from parts(each)


def is_bounded(metadata: Any) -> bool:
    found = [each for one in metadata for each in (one.metadata if isinstance(one, FieldInfo) else [one])]
    return any(isinstance(one, Ge | Gt | Le | Lt | Interval) or "allow_inf_nan" in str(one) for one in found)


def test_every_number_of_a_plan_has_bounds() -> None:
    unbounded = []
    for spec in specs():
        hints = typing.get_type_hints(spec, include_extras=True)
        for name, field in spec.model_fields.items():
            for part in parts(hints[name]):
                kind = typing.get_args(part)[0] if hasattr(part, "__metadata__") else part
                metadata = [*getattr(part, "__metadata__", ()), *field.metadata]
                if kind in (int, float) and not is_bounded(metadata):
                    unbounded.append(f"{spec.__name__}.{name}")
    assert unbounded == ["Plan.version"]  # compared before the plan is read


SHOP: dict[str, Any] = json.loads(purchases_plan().to_json())
PLACES = [path for path in leaves(SHOP) if path[0] in ("sources", "stream_views")]
EVENT = b"\x00\x00\x00\x00\x07" + b"\x02\x02" + b"\x02\x02a" + b"\x02\x90N" + b"\x00\x00\x00"


@tries(200)
@given(
    st.dictionaries(
        st.sampled_from(PLACES),
        st.one_of(st.integers(), st.integers(0, 5), st.floats(), st.sampled_from(ABSURD)),
        min_size=1,
        max_size=3,
    )
)
def test_a_plan_that_is_read_can_be_run(numbers: dict[Path, float]) -> None:
    raw = json.dumps(SHOP)
    for path, number in numbers.items():
        raw = changed(json.loads(raw), path, number)
    try:
        plan = Plan.from_json(raw)
    except PlanError:
        return
    partition = SourcePartition(plan, plan.sources[0], 0)
    effects = partition.process(LogRecords.of([LogRecord(n, 10_000, b"1", EVENT) for n in range(3)]))
    assert partition.intake.counts.applied == 3
    for number, block in enumerate(effects.blocks[:2]):
        Shard(plan, plan.sources[0], number).process(LogRecords.of([LogRecord(0, 10_000, None, block)]))
