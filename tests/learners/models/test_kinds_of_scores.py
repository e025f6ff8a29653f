"""Scores follow from the kind of the target."""

from __future__ import annotations

import pytest
from river import dummy, linear_model, multiclass, naive_bayes, stats, tree

from headrace.learners.models.scoring import learn, score, score_and_learn
from headrace.schemas.domains import DomainSpec

NUMBER = DomainSpec(kind="number", low=-120, high=2000)
CATEGORY = DomainSpec(kind="category", classes=("carrier", "weather", "security"))


class Answers:
    def __init__(self, answer: object) -> None:
        self._answer = answer

    def predict_proba_one(self, x: object) -> object:
        return self._answer


@pytest.mark.parametrize(
    "model",
    [
        dummy.PriorClassifier(),
        naive_bayes.GaussianNB(),
        tree.HoeffdingTreeClassifier(),
        linear_model.SoftmaxRegression(),
        multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    ],
)
def test_scores_of_a_category_are_distributions_over_its_classes(model: object) -> None:
    for number in range(90):
        label = CATEGORY.classes[number % 3 if number > 30 else 0]
        answer = score_and_learn(model, {"x": float(number % 3)}, label, CATEGORY)
        assert [*answer] == [*CATEGORY.classes]  # type: ignore[misc]
        assert CATEGORY.has(answer)
    assert score(model, {"x": 1.0}, CATEGORY) != pytest.approx(dict.fromkeys(CATEGORY.classes, 1 / 3))


def test_nothing_learned_and_only_other_classes_are_the_same_share_for_each() -> None:
    even = pytest.approx(dict.fromkeys(CATEGORY.classes, 1 / 3))
    assert score(dummy.PriorClassifier(), {}, CATEGORY) == even
    assert score(Answers({True: 1.0}), {}, CATEGORY) == even


@pytest.mark.parametrize("answer", [{"carrier": float("nan")}, {"carrier": -1.0, "weather": 2.0}])
def test_an_answer_that_is_no_distribution_is_none(answer: object) -> None:
    with pytest.raises(ValueError, match="the model answers"):
        score(Answers(answer), {}, CATEGORY)


def test_numbers_are_kept_in_their_range() -> None:
    model = dummy.StatisticRegressor(stats.Mean())
    learn(model, {}, 1e9)
    assert score(model, {}, NUMBER) == 2000.0
    with pytest.raises(ValueError, match="a classifier, and the target a number"):
        score(dummy.PriorClassifier(), {}, NUMBER)
