"""What must hold of every aggregation: one suite, which a new one joins by being in the table."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.feature_specs import FieldSpec, StreamViewSpec
from headrace.schemas.feature_types import FLAT_TYPES
from headrace.streams.aggregations import AGGREGATIONS, LAST_K
from headrace.streams.columnar.hashing import hash_values
from headrace.streams.state.view_group import ViewGroup
from tests.support.aggregation_states import (
    INTEGERS,
    QUANTUM,
    REALS,
    TEXTS,
    TRUTHS,
    WINDOWS,
    batch_of,
    over,
    result,
    specs,
    state_of,
)
from tests.support.properties import tries
from tests.support.sketch_oracle import buckets_of, distinct_of, hash_of, percentile_of
from tests.support.window_oracle import OracleFeature, value_of

FUNCTIONS = [name for name in AGGREGATIONS if name not in LAST_K or name in ("last_1", "last_3", "last_100")]
OFFERED = [(name, kind) for name in FUNCTIONS for kind in (INTEGERS, REALS)]
OFFERED += [(name, kind) for name in ("first", "last", "last_3") for kind in (TEXTS, TRUTHS)]
limit = 2**47 - 1
values = {
    INTEGERS: st.none() | st.integers(-limit, limit) | st.integers(-5, 5),
    TEXTS: st.none() | st.text("aé", max_size=32),  # 64 bytes at most
    TRUTHS: st.none() | st.booleans(),
    REALS: st.none() | st.floats(-1.4e12, 1.4e12) | st.integers(-500, 500).map(lambda q: q / 100),
}
thorough = tries(60)


@st.composite
def histories(draw: st.DrawFn, kind: str) -> list[tuple[int, int, object]]:
    times = draw(st.lists(st.integers(0, 70), min_size=1, max_size=30))
    return [(time, order, draw(values[kind])) for order, time in enumerate(times)]


def same(one: object, other: object) -> bool:
    if one is None or other is None:
        return one is other
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    signed = isinstance(one, float) and isinstance(other, float)
    return one == other and (not signed or math.copysign(1, one) == math.copysign(1, other))


@pytest.mark.parametrize(("function", "kind"), OFFERED)
@thorough
@given(data=st.data())
def test_the_value_is_that_of_the_oracle_whatever_the_order_and_the_batches(function, kind, data):
    events = data.draw(histories(kind))
    clock_ms = max(time for time, _, _ in events)
    state, whole = state_of(function, kind), state_of(function, kind)
    whole.advance(clock_ms)
    whole.add(batch_of(events, kind))
    state.advance(clock_ms)
    rest, first = data.draw(st.permutations(events)), 0
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        state.add(batch_of(rest[:size], kind, first))
        rest, first = rest[size:], first + size
    got = result(state)
    for spec, value in zip(specs(function, kind), got, strict=True):
        units = round(1 / QUANTUM[kind])
        feature = OracleFeature("f", function, "x", spec.window_ms, spec.hop_ms, units, spec.dtype, 6)
        want = value_of([(t, (o,), {"x": v}) for t, o, v in events], clock_ms, feature)
        assert same(value, want), (spec.feature, value, want)
    assert list(state.snapshot()) == list(whole.snapshot()), "the state is that of one batch, byte for byte"


@pytest.mark.parametrize(("function", "kind"), OFFERED)
@thorough
@given(data=st.data())
def test_a_restored_state_goes_on_as_if_nothing_had_happened(function, kind, data):
    events = data.draw(histories(kind))
    cut = data.draw(st.integers(0, len(events)))
    state, restored = state_of(function, kind), state_of(function, kind)
    state.advance(70)
    state.add(batch_of(events[:cut], kind))
    restored.load(dict(state.snapshot()))
    restored.restored(70)
    for one in (state, restored):
        one.add(batch_of(events[cut:], kind, cut))
        one.advance(75)
        one.add(batch_of([(75, 99, None)], kind, 99))
    assert all(map(same, result(state), result(restored)))


@pytest.mark.parametrize(("function", "kind"), OFFERED)
@thorough
@given(data=st.data())
def test_rows_stay_as_they_are_while_the_next_range_is_computed(function, kind, data):
    """They are written meanwhile."""
    events = data.draw(histories(kind))
    state = state_of(function, kind)
    state.advance(70)
    state.add(batch_of(events, kind))
    (rows,) = state.emit(0, 10**9)
    before = copy.deepcopy(rows)
    state.add(batch_of(data.draw(histories(kind)), kind, len(events)))
    state.advance(200)
    state.emit(0, 10**9)
    for (values, valid), (old, known) in zip(rows.features, before.features, strict=True):
        assert (values.tolist(), valid.tolist()) == (old.tolist(), known.tolist())
    assert rows.keys[0].tolist() == before.keys[0].tolist()


@pytest.mark.parametrize(("function", "kind"), OFFERED)
def test_over_nothing_it_is_null_or_a_count_of_zero(function, kind):
    state = state_of(function, kind)
    state.advance(0)
    state.add(batch_of([(0, 0, None)], kind))
    assert result(state) == [0 if function.startswith("count") else None] * len(WINDOWS)


@pytest.mark.parametrize("function", AGGREGATIONS)
def test_types_that_are_offered_are_types_of_features(function):
    for kind in ("int", "long", "float", "double", "string", "boolean", "other"):
        assert set(AGGREGATIONS[function].types(kind)) <= set(FLAT_TYPES)


@pytest.mark.parametrize("function", ["min", "max"])
def test_of_zeros_of_both_signs_the_extreme_is_plain_zero_in_any_order(function):
    for numbers in ([0.0, -0.0], [-0.0, 0.0], [-0.0]):
        assert math.copysign(1, over(function, np.array(numbers))) == 1


ALIKE = {
    "log-normal": (lambda rng: rng.lognormal(0, 1, 20_000), 2),
    "normal, both signs": (lambda rng: rng.normal(0, 30, 20_000), 3),
    "a long tail": (lambda rng: rng.zipf(1.5, 20_000).clip(0, 10**6), 2),
    "many magnitudes": (lambda rng: np.exp(rng.uniform(-20, 20, 20_000)) * rng.choice([-1, 1], 20_000), 5),
    "few values": (lambda rng: rng.integers(-9, 200, 20_000) / 4, 0),
}


@pytest.mark.parametrize("data", ALIKE)
def test_percentiles_are_within_their_error_of_the_true_value(data):
    make, level = ALIKE[data]
    numbers = make(np.random.default_rng(1)).astype(np.float64)
    found, _ = buckets_of(numbers.tolist())
    assert found <= level
    bound = 1 / (2 * 64 / 2**level + 1)
    for percent in (50, 75, 90, 95, 99):
        true = np.sort(numbers)[(len(numbers) - 1) * percent // 100]
        got = over(f"p{percent}", numbers)
        assert got == percentile_of(numbers.tolist(), percent)
        assert abs(got - true) <= bound * abs(true)


@pytest.mark.parametrize("distinct", [10, 300, 3_000, 30_000])
@pytest.mark.parametrize("precision", [6, 10, 12])
def test_distinct_counts_are_within_four_standard_errors_of_the_true_value(distinct, precision):
    numbers = np.random.default_rng(distinct).normal(size=distinct).repeat(2)
    got = over("count_distinct", numbers, precision)
    assert got == distinct_of(numbers.tolist(), precision)
    assert abs(got - distinct) <= max(1, 4 * 1.04 / 2 ** (precision / 2) * distinct)


@given(texts=st.lists(st.text(max_size=30).map(lambda text: text.rstrip("\0").encode()), min_size=1))
def test_the_hash_of_text_does_not_depend_on_its_neighbours(texts):
    assert hash_values(np.array(texts, "S")).tolist() == [hash_of(text) for text in texts]


def sum_of_quanta(total: int, dtype: str, kind: str = INTEGERS) -> list[object]:
    """What a sum of whole numbers (or of cents) with this total is."""
    most, rest = divmod(abs(total), limit)
    unit = 1 if kind == INTEGERS else 0.01
    parts = [value * (unit if total > 0 else -unit) for value in [limit] * most + [rest]]
    state = state_of("sum", kind, dtype=dtype)
    state.advance(0)
    state.add(batch_of([(0, n, value) for n, value in enumerate(parts)], kind))
    return result(state)


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [
        ("Int32", -(2**31), 2**31 - 1),
        ("Int64", -(2**63), 2**63 - 1),
        ("Float64", 1 - 2**53, 2**53 - 1),
        ("Float32", 1 - 2**53, 2**53 - 1),
    ],
)
def test_a_sum_is_exact_up_to_the_last_quantum_its_type_holds_and_null_beyond(dtype, least, most):
    for total in (least, most):
        assert sum_of_quanta(total, dtype) == [total] * len(WINDOWS)
    for total in (least - 1, most + 1, 3 * least, 3 * most):
        assert sum_of_quanta(total, dtype) == [None] * len(WINDOWS)


def test_a_floating_sum_that_would_lose_its_quantum_is_null():
    assert sum_of_quanta(2**53 - 1, "Float64", REALS) == [(2**53 - 1) / 100] * len(WINDOWS)
    assert sum_of_quanta(2**53, "Float64", REALS) == [None] * len(WINDOWS)


def test_means_and_variances_do_not_depend_on_what_a_sum_can_hold():
    events = [(0, n, limit) for n in range(2**16 + 8)]
    for function, want in (("sum", None), ("mean", float(limit)), ("var", 0.0)):
        state = state_of(function, INTEGERS, dtype="Float64")
        state.advance(0)
        state.add(batch_of(events, INTEGERS))
        assert result(state) == [want] * len(WINDOWS)


@pytest.mark.parametrize("function", ["sum", "mean", "var", "std", "var_pop", "std_pop"])
@pytest.mark.parametrize("dtype", ["Float32", "Float64"])
@pytest.mark.parametrize("quantum", [1e-100, 1e30, 1e100])
def test_no_quantum_makes_a_number_that_its_type_cannot_hold(function, dtype, quantum):
    spec = specs(function, REALS, dtype=dtype)[0].model_copy(update={"quantum": quantum})
    key = FieldSpec(name="key", dtype="Int64")
    view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=(spec,))
    state = ViewGroup([view], lambda _: np.float64)
    state.advance(0)
    state.add(batch_of([(0, n, (n * 2.0**40) * quantum) for n in range(60)], REALS))
    (got,) = result(state)
    assert got is None or (math.isfinite(got) and abs(got) <= np.finfo(dtype.lower()).max)
    assert (got is None) == (state.overflowing.count == 1)
    assert (got is None) == (len(state.overflowing.take_new()) == 1)
    if quantum == 1e30 and dtype == "Float64":
        assert got is not None
