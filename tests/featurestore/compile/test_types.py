"""Feast's types of stored features by the names of the plan, and those that Feast cannot write."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from feast import types as t

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.types import stored_type
from headrace.schemas.errors import DefinitionError

VIEW = Definition("features.py", "feature view 'v'")


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (t.Int32, "Int32"),
        (t.PdfBytes, "PdfBytes"),
        (t.ScalarMap, "ScalarMap"),
        (t.Array(t.Json), "Array(Json)"),
        (t.Set(t.String), "Set(String)"),
        (t.Array(t.Map), "Array(Map)"),
        (t.Array(t.Array(t.Int64)), "Array(Array(Int64))"),
        (t.Struct({"a": t.Int64, "b c": t.Array(t.String)}), 'Struct({a: Int64, "b c": Array(String)})'),
        (t.Array(t.Struct({"a": t.Map})), "Array(Struct({a: Map}))"),
    ],
)
def test_a_type_goes_by_its_name(dtype: Any, name: str) -> None:
    assert stored_type(VIEW, "x", dtype) == name


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (t.Invalid, "has type Invalid, and Feast {} calls Invalid what has no type"),
        (t.Array(t.PdfBytes), "and Feast {} has no Array(PdfBytes). Use an Array of Bytes, or of Json"),
        (t.Array(t.Array(t.Invalid)), "calls Invalid what has no type"),
        (t.Struct({"a": t.ScalarMap}), "cannot write a ScalarMap in a Struct. Make it a feature of its own"),
        (t.Struct({"a": t.Array(t.Set(t.Int64))}), "cannot write lists in lists in a Struct"),
    ],
)
def test_a_type_that_feast_cannot_write_is_refused(dtype: Any, said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        stored_type(VIEW, "x", dtype)
    assert said.format(version("feast")) in str(refused.value)
