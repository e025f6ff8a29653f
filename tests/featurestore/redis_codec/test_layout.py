"""Names of hash fields and bytes of entity keys are those of Feast's own code."""

from __future__ import annotations

import mmh3
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.infra.online_stores.helpers import _mmh3
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec import layout
from tests.support.feature_values import TEXT


@given(st.binary(max_size=40))
def test_murmur_is_mmh3(data: bytes) -> None:
    assert layout.murmur3_32(data) == mmh3.hash(data, signed=False)


@given(TEXT, TEXT)
def test_feature_fields_are_feasts(view: str, feature: str) -> None:
    assert layout.feature_field(view, feature) == _mmh3(f"{view}:{feature}")


@given(st.lists(TEXT, min_size=1, max_size=3, unique=True))
def test_key_prefix_is_feasts(names: list[str]) -> None:
    assert layout.key_prefix(sorted(names)) == serialize_entity_key_prefix(names)
