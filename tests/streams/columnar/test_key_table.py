from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.columnar.key_table import KeyTable
from headrace.streams.columnar.keys import decode_key, decode_keys, encode_key, encode_keys

integers = st.integers(-(2**63), 2**63 - 1)
texts = st.binary(max_size=30)
kinds = st.sampled_from([(integers,), (texts,), (integers, integers), (texts, integers), (texts, texts)])


@given(keys=kinds.flatmap(lambda parts: st.lists(st.tuples(*parts), max_size=20)))
def test_many_keys_are_decoded_as_each_alone(keys):
    raws = [encode_key(key) for key in keys]
    assert decode_keys(raws) == [decode_key(raw) for raw in raws] == keys
    assert encode_keys(keys) == raws


@given(first=st.lists(integers, max_size=8), second=st.lists(integers, max_size=8))
def test_keys_have_one_slot_each_whether_they_come_together_or_alone(first, second):
    table = KeyTable()
    for keys in (first, second):
        slots = table.slots_of_keys([(key,) for key in keys])
        assert [table.slots_of_keys([(key,)])[0] for key in keys] == slots.tolist()
    assert len(table) == table.size == len({*first, *second})
    assert [table.key(slot) for slot in np.arange(len(table)).tolist()] == [
        (key,) for key in dict.fromkeys([*first, *second])
    ]


@given(data=st.data(), parts=kinds)
def test_slots_that_are_taken_back_are_handed_out_again(data, parts):
    """Against a dict: each key has one slot, no two the same, and there are no more than keys at one time."""
    table, held, most = KeyTable(), {}, 0
    for _ in range(data.draw(st.integers(0, 6))):
        keys = data.draw(st.lists(st.tuples(*parts), max_size=8))
        held |= dict(zip(keys, table.slots_of_keys(keys).tolist(), strict=True))
        most = max(most, len(held))
        gone = sorted(held[key] for key in held if data.draw(st.booleans()))
        assert table.keys_of(np.array(gone, np.int64)) == sorted(
            (key for key in held if held[key] in gone), key=held.__getitem__
        )
        table.free(np.array(gone, np.int64))
        held = {key: slot for key, slot in held.items() if slot not in gone}
        assert len(table) == len(held) == len(set(held.values()))
        assert table.size <= most
        if held and not any(isinstance(part, bytes) and part[-1:] == b"\0" for key in held for part in key):
            columns = table.columns(np.array([*held.values()]))  # whose dtype S has no zeros at the end
            assert list(zip(*(column.tolist() for column in columns), strict=True)) == [*held]
    assert all(table.slots_of_keys([key])[0] == slot for key, slot in held.items())
