from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.keys import KeyTable, decode_key, decode_keys, encode_key, encode_keys

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
