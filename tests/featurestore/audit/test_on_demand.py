"""The audit computes on-demand features anew, from inputs that it recomputed from the raw log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from headrace.featurestore.audit.report import AuditReport
from headrace.featurestore.on_demand.functions import _import, function_digest
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    OnDemandViewSpec,
)
from headrace.schemas.plan import Plan
from tests.support.audit_scene import Scene, assert_all_equal, audited_plan, counts_of, purchase
from tests.support.properties import tries
from tests.support.random_logs import logs, split_users

FUNCTIONS = """
class View:
    def __init__(self, udf):
        self.name, self.udf = udf.__name__, udf


@View
def spending(df):
    if (df["price"] == 13).any():
        raise ValueError("thirteen")
    return df.assign(
        scaled=df["price"] * df["mean_amount_60_10"],
        about=df["count_distinct_shop_60_10"] + df["rank"],
        items=df["last_items_60_10"],
        latest=df["last_2_items_60_10"],
    )
"""
LATEST = "last_2_items_60_10"  # a list, which is not logged where it is an input alone
STREAM = ("mean_amount_60_10", "count_distinct_shop_60_10", "last_items_60_10")
RANK = 3


def spending(price: float | None, inputs: dict[str, Any]) -> dict[str, Any]:
    """The same for one prediction, in plain Python."""
    mean, distinct = inputs["mean_amount_60_10"], inputs["count_distinct_shop_60_10"]
    return {
        "spending__scaled": None if price is None or mean is None else price * mean,
        "spending__about": None if distinct is None else float(distinct + RANK),
        "spending__items": inputs["last_items_60_10"],
    } | {f"spending__latest__{place}": value for place, value in enumerate(_two(inputs.get(LATEST)))}


def _two(values: list[Any] | None) -> list[Any]:
    return [*(values or []), None, None][:2]


def with_spending(folder: Path) -> Plan:
    """The router reads the on-demand view, and of the stream views no feature by itself."""
    (folder / "features.py").write_text(FUNCTIONS)
    plan, user = audited_plan(shards=1), FieldSpec(name="user", dtype="Int64")
    rank = FieldSpec(name="rank", dtype="Int64")
    view = OnDemandViewSpec(
        name="spending",
        mode="pandas",
        inputs=(
            *(FeatureRef(view="by_user", feature=name) for name in (*STREAM, LATEST)),
            FeatureRef(view="table", feature="rank"),
        ),
        request=(FieldSpec(name="price", dtype="Float64"),),
        features=(
            FieldSpec(name="scaled", dtype="Float64"),
            FieldSpec(name="about", dtype="Float64"),
            FieldSpec(name="items", dtype="Int64"),
            FieldSpec(name="latest", dtype="Array(Int64)", length=2),
        ),
        file="features.py",
        definition="0",
    )
    module = _import(folder, "features.py")
    view = view.model_copy(update={"definition": function_digest(module.spending)})
    refs = tuple(FeatureRef(view="spending", feature=field.name) for field in view.features)
    return plan.model_copy(
        update={
            "batch_views": (BatchViewSpec(name="table", join_keys=(user,), features=(rank,)),),
            "on_demand_views": (view,),
            "services": (FeatureServiceSpec(name="all", features=refs),),
        }
    )


class Served(Scene):
    """Predictions with the on-demand features of what was online then, and its inputs."""

    def ask(self, user: int, price: float | None) -> None:
        self.predict(user, "a")
        one = self.predictions.pop()
        row = self.online.get(("by_user", (user,)), {})
        inputs = {name: row.get(name) for name in STREAM}
        logged = {f"by_user__{name}": value for name, value in inputs.items()} | {"table__rank": RANK}
        features = spending(price, inputs | {LATEST: row.get(LATEST)}) | logged
        self.predictions.append(one.model_copy(update={"features": features, "request": {"price": price}}))

    def change(self, number: int, **features: Any) -> None:
        one = self.predictions[number]
        self.predictions[number] = one.model_copy(update={"features": one.features | features})

    def forget(self, *names: str) -> None:
        """As if these had not been logged."""
        for number, one in enumerate(self.predictions):
            left = {name: value for name, value in one.features.items() if name not in names}
            self.predictions[number] = one.model_copy(update={"features": left})


FEATURES = {f"spending__{name}" for name in ("scaled", "about", "items", "latest")}


@pytest.fixture
def scene(tmp_path: Path) -> Served:
    scene = Served(with_spending(tmp_path), [[purchase(n, n % 2, 1000 + n) for n in range(20)]])
    scene.drain(4)
    for user in (0, 1, 0, 77):
        scene.ask(user, 2.5)
    return scene


def audit(scene: Served, folder: Path) -> AuditReport:
    return scene.audit(repo_dir=folder)


@tries(15, HealthCheck.function_scoped_fixture)
@given(partitions=st.lists(logs(), min_size=1, max_size=2), data=st.data())
def test_nothing_is_different_whatever_was_read_when(tmp_path: Path, partitions, data) -> None:
    split_users(partitions)
    scene = Served(with_spending(tmp_path), partitions)
    users = [e.fields["user"] for log in partitions for e in log if e.fields and e.fields["user"] is not None]
    for _ in range(data.draw(st.integers(1, 10))):
        scene.step(data.draw(st.sampled_from(scene.partitions)), data.draw(st.integers(1, 9)))
        scene.ask(data.draw(st.sampled_from([*users, 77])), data.draw(st.sampled_from([None, 1.0, 0.1])))
    assert_all_equal(audit(scene, tmp_path), scene)


def test_a_planted_skew_of_an_on_demand_feature_is_found(scene: Served, tmp_path: Path) -> None:
    assert_all_equal(audit(scene, tmp_path), scene)
    honest = scene.predictions[1].features["spending__scaled"]
    scene.change(1, spending__scaled=honest + 1e-6)
    report = audit(scene, tmp_path)
    assert counts_of(report, "different") == {"spending__scaled": 1}
    (found,) = report.examples
    assert (found.prediction_id, found.recomputed) == ("p1", honest)


def test_a_planted_skew_of_an_element_is_found_with_its_list(scene: Served, tmp_path: Path) -> None:
    newest = scene.predictions[0].features["spending__latest__0"]
    scene.change(0, spending__latest__0=newest + 1)
    report = audit(scene, tmp_path)
    assert counts_of(report, "different") == {"spending__latest": 1}
    (found,) = report.examples
    assert (found.served[0], found.recomputed[0]) == (newest + 1, newest)


def test_what_was_computed_of_a_stale_input_is_found(scene: Served, tmp_path: Path) -> None:
    """The function is right, and what it was given is not what the log says."""
    scene.change(0, by_user__mean_amount_60_10=2.0, spending__scaled=5.0)
    assert counts_of(audit(scene, tmp_path), "different") == {"spending__scaled": 1}
    scene.forget("by_user__mean_amount_60_10")
    assert counts_of(audit(scene, tmp_path), "different") == {"spending__scaled": 1}


def test_what_a_missing_row_left_null_is_missing(scene: Served, tmp_path: Path) -> None:
    last = scene.predictions.pop(2)
    features = spending(2.5, dict.fromkeys(STREAM)) | {f"by_user__{name}": None for name in STREAM}
    features["table__rank"] = RANK
    scene.predictions.append(last.model_copy(update={"provenance": {}, "features": features}))
    assert counts_of(audit(scene, tmp_path), "missing") == dict.fromkeys(FEATURES, 1)


def test_what_cannot_be_known_is_not_judged(scene: Served, tmp_path: Path) -> None:
    """A table's value that was not logged, and a sketch of which only the neighbourhood is known."""
    for name in ("table__rank", "by_user__count_distinct_shop_60_10"):
        scene.forget(name)
        report = audit(scene, tmp_path)
        assert counts_of(report, "unchecked") == dict.fromkeys(FEATURES, 4)
        assert not report.ok


@pytest.mark.parametrize(
    ("price", "said"), [(13, "ValueError: thirteen"), ("dear", "price: a value is no Float64")]
)
def test_a_row_that_the_function_fails_on_is_different_and_the_others_are_not(
    scene: Served, tmp_path: Path, price: Any, said: str
) -> None:
    one = scene.predictions[2]
    scene.predictions[2] = one.model_copy(update={"request": {"price": price}})
    report = audit(scene, tmp_path)
    assert counts_of(report, "different") == dict.fromkeys(FEATURES, 1)
    assert said in report.examples[0].recomputed


def test_a_function_that_is_not_the_plans_is_refused(scene: Served, tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text(FUNCTIONS.replace("== 13", "== 14"))
    with pytest.raises(DefinitionError, match="another one than that of the plan"):
        audit(scene, tmp_path)
