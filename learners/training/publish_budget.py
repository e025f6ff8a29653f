"""The share of a trainer's time that may go into publishing by the clock."""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.1


class PublishBudget:
    """Says when a learner may publish again, so that at most a tenth of the time goes into publishing.

    Each of `learners` may spend its part of that tenth: what took a second rests for ten times as many.
    Versions that follow the marks of a router are not held back: they are functions of the log.

    Parameters
    ----------
    learners
        How many share the process.
    every_s
        Least time between two versions of a learner.

    Attributes
    ----------
    spent_s
        Seconds that went into publishing, by learner.

    Examples
    --------
    >>> budget = PublishBudget(learners=2, every_s=1.0)
    >>> budget.begin("tree", now_s=0.0)
    >>> budget.spend("tree", 0.5)
    >>> budget.is_due("tree", now_s=9.0), budget.is_due("tree", now_s=10.0)
    (False, True)
    """

    def __init__(self, learners: int, every_s: float) -> None:
        self._every_s, self._factor = every_s, learners / SHARE
        self._began: dict[str, tuple[float, float]] = {}  # when, and what had been spent before
        self.spent_s: dict[str, float] = {}

    def begin(self, learner: str, now_s: float) -> None:
        """A version is about to be published: its costs count from here."""
        self._began[learner] = now_s, self.spent_s.setdefault(learner, 0.0)

    def spend(self, learner: str, seconds: float) -> None:
        """Seconds went into the newest version of a learner."""
        self.spent_s[learner] = self.spent_s.get(learner, 0.0) + seconds

    def is_due(self, learner: str, now_s: float) -> bool:
        """Whether the next version may be published."""
        began_s, before_s = self._began[learner]
        rest_s = self._factor * (self.spent_s[learner] - before_s)
        return now_s - began_s >= max(self._every_s, rest_s)

    def age_s(self, learner: str, now_s: float) -> float:
        """Seconds since the newest version was begun."""
        return now_s - self._began[learner][0]
