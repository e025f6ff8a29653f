"""Probabilities of being best, against closed forms and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from headrace.learners.routing.posteriors import BetaPosterior, Evidence, NormalPosterior, probability_best
from tests.support.properties import tries


def beats(a: BetaPosterior, b: BetaPosterior) -> float:
    """P(A > B) for whole alpha of A, in closed form: Miller (2015), Formulas for Bayesian A/B testing."""
    terms = [
        np.exp(
            special.betaln(b.alpha + i, b.beta + a.beta)
            - np.log(a.beta + i)
            - special.betaln(1 + i, a.beta)
            - special.betaln(b.alpha, b.beta)
        )
        for i in range(int(a.alpha))
    ]
    return float(sum(terms))


@given(st.tuples(*[st.integers(1, 400)] * 4))
@tries(40)
def test_two_betas_equal_the_closed_form(numbers: tuple[int, int, int, int]) -> None:
    a, b = BetaPosterior(*numbers[:2]), BetaPosterior(*numbers[2:])
    assert probability_best([a, b])[0] == pytest.approx(beats(a, b), abs=1e-7)


def test_five_betas_equal_monte_carlo() -> None:
    posteriors = [BetaPosterior(*p) for p in ((12, 4), (130, 40), (3, 1), (75.5, 24.5), (1, 1))]
    source = np.random.default_rng(1)
    draws = np.stack([source.beta(p.alpha, p.beta, 400_000) for p in posteriors])
    drawn = np.bincount(draws.argmax(axis=0), minlength=5) / draws.shape[1]
    assert probability_best(posteriors) == pytest.approx(drawn, abs=4e-3)


def test_normals_equal_monte_carlo() -> None:
    evidence = [Evidence(50, 25.0, 14.0), Evidence(8, 4.4, 2.6), Evidence(0, 0, 0)]
    posteriors = [NormalPosterior.of(found) for found in evidence]
    source = np.random.default_rng(1)
    draws = np.stack([p.mean + p.scale * source.standard_t(p.freedom, 400_000) for p in posteriors])
    drawn = np.bincount(draws.argmax(axis=0), minlength=3) / draws.shape[1]
    assert probability_best(posteriors) == pytest.approx(drawn, abs=4e-3)


def test_a_narrow_and_a_wide_posterior_are_both_resolved() -> None:
    best = probability_best([BetaPosterior(9e6, 1e6), BetaPosterior(1, 1)])
    assert best == pytest.approx([0.9, 0.1], abs=1e-6)


rewards = st.lists(st.floats(0, 1), max_size=30)


@given(st.lists(rewards, min_size=1, max_size=6), st.sampled_from([BetaPosterior, NormalPosterior]))
@tries(40)
def test_probabilities_are_a_distribution_that_does_not_depend_on_the_order_of_arms(
    arms: list[list[float]], kind: type[BetaPosterior] | type[NormalPosterior]
) -> None:
    posteriors = []
    for given_rewards in arms:
        evidence = Evidence()
        for reward in given_rewards:
            evidence = evidence.add(reward)
        posteriors.append(kind.of(evidence))
    best = probability_best(posteriors)
    assert best.min() >= 0.0
    assert best.sum() == pytest.approx(1.0, abs=1e-6)
    assert probability_best(posteriors[::-1])[::-1] == pytest.approx(best, abs=1e-6)


def test_conjugate_updates_follow_the_formulas() -> None:
    evidence = Evidence().add(0.75).add(0.25).add(1.0)
    assert BetaPosterior.of(evidence) == BetaPosterior(3.0, 2.0)
    normal = NormalPosterior.of(evidence)
    assert normal.freedom == 2 * (1.0 + 1.5)
    assert normal.mean == pytest.approx((0.1 * 0.5 + 2.0) / 3.1)
    assert evidence.discounted(0.5) == Evidence(1.5, 1.0, (0.75**2 + 0.25**2 + 1.0) / 2)
