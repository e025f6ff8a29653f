"""What typeguard checks once `headrace.featurestore.feast_repo.fast_import` is there."""

from __future__ import annotations

import pytest
from feast import Entity, Field
from typeguard import TypeCheckError, typechecked


def test_what_people_write_is_checked_and_feasts_own_methods_are_not() -> None:
    with pytest.raises(TypeCheckError):
        Field(name="delay", dtype="float")  # type: ignore[arg-type]
    assert "check_argument_types_internal" in Entity.__init__.__code__.co_names
    assert "check_argument_types_internal" not in Entity.to_proto.__code__.co_names


def test_methods_of_others_stay_checked() -> None:
    @typechecked
    class Doubler:
        def double(self, number: int) -> int:
            return 2 * number

    with pytest.raises(TypeCheckError):
        Doubler().double("2")  # type: ignore[arg-type]
