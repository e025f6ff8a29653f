"""At most a tenth of the time goes into publishing by the clock, whatever a version costs."""

from __future__ import annotations

from random import Random

import pytest

from headrace.learners.training.publish_budget import PublishBudget


@pytest.mark.parametrize("seed", range(5))
def test_no_more_than_a_tenth_of_the_time_goes_into_it(seed: int) -> None:
    random, learners = Random(seed), ["small", "tree", "forest"]
    costs_s = {"small": 0.005, "tree": 0.2, "forest": 3.0}
    budget, now_s, spent_s = PublishBudget(len(learners), 1.0), 0.0, 0.0
    published = dict.fromkeys(learners, 0)
    for learner in learners:
        budget.begin(learner, now_s)
    while now_s < 5_000:
        now_s += 0.05
        for learner in learners:
            if budget.is_due(learner, now_s):
                cost_s = costs_s[learner] * random.uniform(0.5, 1.5)
                budget.begin(learner, now_s)
                budget.spend(learner, cost_s)
                now_s += cost_s
                spent_s += cost_s
                published[learner] += 1
    assert spent_s / now_s <= 0.1
    assert published["small"] > 0.8 * 5_000 / 1.2  # what costs little comes every second
    assert published["forest"] > 20


def test_what_is_spent_after_a_version_counts_for_it() -> None:
    budget = PublishBudget(1, 1.0)
    budget.begin("tree", 0.0)
    assert budget.is_due("tree", 1.0)
    budget.spend("tree", 0.3)  # its digest, later
    assert not budget.is_due("tree", 2.9)
    assert budget.is_due("tree", 3.0)
