"""Targets compile into domains; what does not fit their kind is refused with place and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.featurestore.plans.diff import plan_changes
from headrace.featurestore.plans.safety import unsafe_changes
from headrace.schemas.domains import BINARY, DomainSpec
from headrace.schemas.errors import DefinitionError
from headrace.schemas.follows_from import epochs_definition, versions_definition
from headrace.schemas.plan import Plan
from tests.support.typed_flights import CLASSES, text_of, typed_flights

NUMBER = DomainSpec(kind="number", low=-120, high=2000)
CATEGORY = DomainSpec(kind="category", classes=CLASSES)


@pytest.mark.parametrize(
    ("kind", "domain", "reward", "default"),
    [
        ("binary", BINARY, "brier", 0.5),
        ("number", NUMBER, "mae", 940.0),
        ("category", CATEGORY, "brier", dict.fromkeys(CLASSES, 1 / 3)),
    ],
)
def test_reward_and_default_follow_from_the_kind_which_the_plan_carries(
    tmp_path: Path, kind: str, domain: DomainSpec, reward: str, default: object
) -> None:
    plan, _ = typed_flights(tmp_path, text_of(kind))
    plan = Plan.from_json(plan.to_json())
    router = plan.router("delays")
    assert router.domain == plan.learner("base").domain == plan.learner("live").domain == domain
    assert (router.reward, router.default) == (reward, default)


def test_a_name_is_a_binary_target_and_its_plan_is_that_of_before_there_were_kinds(tmp_path: Path) -> None:
    named, _ = typed_flights(tmp_path, text_of("binary", target='"late"'))
    typed, _ = typed_flights(tmp_path, text_of("binary"))
    assert named.hash == typed.hash
    assert "domain" not in named.to_json()


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("number", "default=100", 100.0),
        ("binary", "default=0.25", 0.25),
        ("category", "default={'weather': 1}", {"carrier": 0.0, "weather": 1.0, "security": 0.0}),
    ],
)
def test_a_default_of_the_kind_is_taken(tmp_path: Path, kind: str, more: str, expected: object) -> None:
    plan, _ = typed_flights(tmp_path, text_of(kind, more=more))
    assert plan.router("delays").default == expected


def test_a_quantile_is_rewarded_by_its_pinball_loss(tmp_path: Path) -> None:
    target = "Target('minutes', kind='number', low=0, high=100, quantile=0.9)"
    plan, _ = typed_flights(tmp_path, text_of("number", target=target))
    assert (plan.router("delays").reward, plan.router("delays").domain.quantile) == ("pinball", 0.9)


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("number", {"target": "'minutes'"}, "model is a regressor, StatisticRegressor, and its target "
         "'minutes' is binary. Say that the target is a number, target=Target('minutes', kind='number'"),
        ("number", {"base": "dummy.PriorClassifier()"}, "model is a classifier, PriorClassifier, and its"),
        ("category", {"base": "dummy.StatisticRegressor(stats.Mean())"}, "model is a regressor"),
        ("category", {"base": "linear_model.LogisticRegression()"}, "LogisticRegression, learns two classes"),
        ("number", {"target": "Target('minutes', kind='number')"}, "`low` None to `high` None. Say what"),
        ("number", {"target": "Target('minutes', kind='number', low=5, high=5)"}, "from `low` 5 to `high` 5"),
        ("number", {"target": "Target('minutes', kind='number', low=0, high=float('inf'))"}, "`high` inf"),
        ("number", {"target": "Target('minutes', kind='number', low=0, high=1, quantile=1)"}, "`quantile` 1"),
        ("number", {"target": "Target('minutes', kind='number', low=0, high=1, classes=['a'])"}, "`classes`"),
        ("binary", {"target": "Target('late', low=0)"}, "has `low`, `high` or `quantile`. Leave them out"),
        ("binary", {"target": "Target('late', kind='real')"}, "of kind 'real'. Use one of: 'binary'"),
        ("binary", {"target": "7"}, "`target` is 7. Give it a `Target`"),
        ("category", {"target": "Target('reason', kind='category')"}, "has `classes` (), not 2 to 256 texts"),
        ("category", {"target": "Target('reason', kind='category', classes=(0, 1))"}, "the class 0. Write"),
        ("category", {"target": "Target('reason', kind='category', classes=('a', 'a'))"}, "'a' 2 times"),
        ("binary", {"more": "reward='mae'"}, "`reward` is 'mae', and target 'late' is binary. Use one of: "
         "brier, accuracy, label"),
        ("number", {"more": "reward='brier'"}, "Use one of: mae, mse, pinball, label"),
        ("number", {"more": "reward='pinball'"}, "has no `quantile`. Give the Target a quantile"),
        ("category", {"more": "reward='label'"}, "Use one of: brier, accuracy"),
        ("binary", {"more": "default=100"}, "`default` is 100, and target 'late' is binary. Use a prob"),
        ("number", {"more": "default=2001"}, "Use a number from -120 to 2000"),
        ("number", {"more": "default={'a': 1}"}, "Use a number from -120 to 2000"),
        ("category", {"more": "default=0.5"}, "Give each class its share"),
        ("category", {"more": "default={'wether': 1}"}, "names ['wether'], no class"),
        ("category", {"more": "default={'weather': 0.5}"}, "Use numbers from 0 to 1 that sum to 1"),
        ("binary", {"more": "duplicates='sum'"}, "`duplicates` is 'sum', and target 'late' is binary. Use "
         "one of: first, last, max"),
        ("category", {"more": "duplicates='max'"}, "Use one of: first, last"),
        ("category", {"more": "missing='negative'"}, "`missing` is 'negative', which is label 0"),
        ("number", {"target": "Target('minutes', 'number', low=1, high=9)", "more": "missing='negative'"},
         "`missing` is 'negative', which is label 0, and target 'minutes' is number from 1 to 9"),
        ("binary", {"more": "missing='zero'"}, "`missing` is 'zero'"),
        ("binary", {"more": "feedback='all'"}, "`feedback` is 'all'"),
        ("binary", {"field": "reason"}, "outcome label field 'reason' of 'arrivals' is a text, and target "
         "'late' is binary. Send a number or a boolean, or say Target('late', kind='category'"),
        ("category", {"field": "minutes"}, "outcome label field 'minutes' of 'arrivals' is Float64"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_kind_is_refused(
    tmp_path: Path, kind: str, changes: dict[str, str], told: str
) -> None:
    with pytest.raises(DefinitionError, match=re.escape(told)) as caught:
        typed_flights(tmp_path, text_of(kind, **changes))
    assert re.search(r"learners\.py:\d+: (learner|router) '", str(caught.value))


def test_arms_of_other_kinds_do_not_share_a_router(tmp_path: Path) -> None:
    two = 'Learner("live", live, None, Target("minutes"), request=["distance"])]'
    text = text_of("number", live="naive_bayes.GaussianNB()")
    text = re.sub(r'Learner\("live".*', two, text)
    with pytest.raises(DefinitionError, match="base: 'minutes', number from -120 to 2000, live: 'minutes'"):
        typed_flights(tmp_path, text)


def test_another_domain_is_another_definition_and_gathers_evidence_anew(tmp_path: Path) -> None:
    narrow, _ = typed_flights(tmp_path, text_of("number"))
    target = "Target('minutes', kind='number', low=-120, high=3000)"
    wide, _ = typed_flights(tmp_path, text_of("number", target=target))
    for learner in ("base", "live"):
        before, after = narrow.learner(learner), wide.learner(learner)
        assert before.definition != after.definition
        assert versions_definition(narrow, before) != versions_definition(wide, after)
    assert epochs_definition(narrow.routers[0]) != epochs_definition(wide.routers[0])
    told = [line for change in plan_changes(narrow, wide) for line in change.lines]
    assert "~ domain: number from -120 to 2000 -> number from -120 to 3000" in told
    assert unsafe_changes(narrow, wide) == []
    assert {one.name for one in unsafe_changes(wide, narrow)} == {"base", "live", "delays"}


def test_a_new_learner_is_shown_with_its_target(tmp_path: Path) -> None:
    plan, _ = typed_flights(tmp_path, text_of("category"))
    shown = {change.title: change.lines for change in plan_changes(None, plan)}
    assert shown["+ learner base"] == ("+ target reason: category of carrier, weather, security",)
