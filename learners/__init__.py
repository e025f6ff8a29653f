"""Learners that learn from what was served, and the routing among them.

A repository's ``learners.py`` needs only ``from learners import Learner, Router, ...``.
"""

from headrace.learners.definitions import (
    EpsilonGreedy,
    FixedSplit,
    Learner,
    Outcome,
    Router,
    ThompsonSampling,
)

__all__ = ["EpsilonGreedy", "FixedSplit", "Learner", "Outcome", "Router", "ThompsonSampling"]
