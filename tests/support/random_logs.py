"""Random logs of purchases, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.window_oracle import OracleEvent

amounts = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, -0.0, 0.005, 0.015, 1e9, -1e9, 1.4e12, -1.4e12, float("nan")]),
)
kept = st.sampled_from([(), (), ("by_user",), ("by_shop", "by_both")])  # views with lifetime windows
events = st.fixed_dictionaries(
    {
        "user": st.one_of(st.integers(-2, 2), st.just(2**62)),
        "shop": st.sampled_from(["a", "b", "", "größer"]),
        "amount": amounts,
        "items": st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1), st.integers(-3, 3)),
    }
)


@st.composite
def logs(draw: st.DrawFn) -> list[OracleEvent]:
    """One partition: time runs on with jitter; late and future records, marks, broken records."""
    log: list[OracleEvent] = []
    now = draw(st.integers(-200, 200))
    for offset in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 0, 1, 3, 10, 25, 300]))
        kind = draw(st.sampled_from(["event"] * 8 + ["mark", "broken", "null key", "null time"]))
        appended = now + draw(st.sampled_from([0, 5, -900]))
        if kind == "mark":
            log.append(OracleEvent(offset, appended, mark_ms=now + draw(st.sampled_from([0, 40, 5000]))))
            continue
        if kind == "broken":
            log.append(OracleEvent(offset, appended, broken=True))
            continue
        fields = dict(draw(events))
        fields["event_ms"] = now + draw(st.sampled_from([0, 0, 0, -7, -25, -60, -1000, 200, 1500, 10**12]))
        if kind == "null key":
            fields[draw(st.sampled_from(["user", "shop"]))] = None
        if kind == "null time":
            fields["event_ms"] = None
        log.append(OracleEvent(offset, appended, fields))
    return log


def split_users(partitions: list[list[OracleEvent]]) -> None:
    """A key lives in one partition only, as its producer's partitioner has it."""
    for number, log in enumerate(partitions):
        for event in log:
            if event.fields and event.fields["user"] is not None:
                event.fields["user"] = event.fields["user"] // len(partitions) * len(partitions) + number
