"""An on-demand view in a response: given the stored features that were read and the request, adds its own."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.on_demand.functions import OnDemandFunctions, function_digest
from headrace.featurestore.on_demand.step import OnDemandStep
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FeatureRef, FieldSpec, OnDemandViewSpec
from tests.support.online_plan import plan_of

VIEWS = """
    from types import SimpleNamespace

    SEEN = []

    def ratio(inputs):
        SEEN.append(inputs)
        return {"ratio": [n and price / n for n, price in zip(inputs["fresh__n"], inputs["price"])]}

    ratios = SimpleNamespace(name="ratios", udf=ratio)
"""
PLAN = plan_of("p")


@pytest.fixture
def functions(tmp_path: Path) -> OnDemandFunctions:
    (tmp_path / "views.py").write_text(textwrap.dedent(VIEWS))
    return OnDemandFunctions(tmp_path)


@pytest.fixture
def view(functions: OnDemandFunctions, tmp_path: Path) -> OnDemandViewSpec:
    loaded: dict[str, Any] = {}
    exec(compile((tmp_path / "views.py").read_text(), str(tmp_path / "views.py"), "exec"), loaded)
    return OnDemandViewSpec(
        name="ratios",
        mode="python",
        inputs=(FeatureRef(view="fresh", feature="n"), FeatureRef(view="pair", feature="mean")),
        request=(FieldSpec(name="price", dtype="Float64"),),
        features=(FieldSpec(name="ratio", dtype="Float64"),),
        file="views.py",
        definition=function_digest(loaded["ratios"]),
    )


def test_it_takes_the_join_keys_of_its_inputs_and_its_request_fields_once(
    functions: OnDemandFunctions, view: OnDemandViewSpec
) -> None:
    assert OnDemandStep(PLAN, view, functions).inputs == ["user", "place", "price"]


def test_its_features_are_added_with_their_statuses(
    functions: OnDemandFunctions, view: OnDemandViewSpec
) -> None:
    inputs: dict[str, list[Any]] = {
        "user": [1, 2], "place": ["EWR", "LGA"], "price": [8.0, 9.0], "more": [0, 0],
    }  # fmt: skip
    columns: dict[str, list[Any]] = {"fresh__n": [2, None], "pair__mean": [0.5, 0.25], "fresh__mean": [0, 0]}
    statuses: dict[str, list[FieldStatus]] = {}
    OnDemandStep(PLAN, view, functions).add(inputs, columns, statuses)
    assert columns["ratios__ratio"] == [4.0, None]
    assert statuses == {"ratios__ratio": [FieldStatus.PRESENT, FieldStatus.NULL_VALUE]}
    (seen,) = functions.function(view).__globals__["SEEN"]
    assert set(seen) == {"user", "place", "price", "n", "fresh__n", "mean", "pair__mean"}
    assert seen["n"] == seen["fresh__n"] == [2, None]


def test_without_a_repository_it_cannot_be_made(view: OnDemandViewSpec) -> None:
    with pytest.raises(HeadraceError, match="repo_dir"):
        OnDemandStep(PLAN, view, OnDemandFunctions(None))
