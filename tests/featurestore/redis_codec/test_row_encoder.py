"""Few rows are encoded one by one, as the same bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from tests.support.feature_values import INT32, INT64, TEXT, TYPES, column, values_of
from tests.support.properties import tries


@tries(50)
@given(data=st.data())
def test_few_rows_have_the_bytes_of_many(data: st.DataObject) -> None:
    """Rows are encoded one by one where there are few, else by the column."""
    features = tuple(FieldSpec(name=f"f%{dtype}", dtype=dtype) for dtype in [*TYPES, "Int64", "Float64"])
    keys = (FieldSpec(name="i", dtype="Int32"), FieldSpec(name="n", dtype="Int64"))
    view = BatchViewSpec(name="v", join_keys=(*keys, FieldSpec(name="t", dtype="String")), features=features)
    encoder, count = ViewEncoder("p%", view), data.draw(st.integers(1, 5))
    values = [
        data.draw(st.lists(st.none() | values_of(f.dtype), min_size=count, max_size=count)) for f in features
    ]
    drawn = [data.draw(st.lists(of, min_size=count, max_size=count)) for of in (INT32, INT64, TEXT)]
    times = data.draw(st.lists(st.integers(-(2**54), 2**54), min_size=count, max_size=count))
    provenance = data.draw(st.none() | st.just((1, 2, 3, b"8 bytes.")))

    def commands(times_of: int) -> bytes:
        """Of the rows so many times over."""
        columns = [
            (column(f.dtype, of * times_of), np.array([v is not None for v in of] * times_of))
            for f, of in zip(features, values, strict=True)
        ]
        entities = [np.array(of * times_of) for of in drawn[:2]]
        texts = [text.encode() for text in drawn[2]] * times_of
        return encoder.commands([*entities, texts], columns, np.array(times * times_of), provenance)

    assert commands(1) * 100 == commands(100)
