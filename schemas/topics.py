"""Names of the topics that Headrace owns. Event topics belong to the user and are named in the plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class SourceTopics:
    """Topics of one event source.

    Attributes
    ----------
    changelog
        Compacted state of the partitions of its topic.
    shuffle
        Columnar blocks of its topic, repartitioned by the views' join keys.
    shuffle_changelog
        Compacted state of the shards.
    """

    project: str
    source: str

    @cached_property
    def changelog(self) -> str:
        return f"headrace.{self.project}.changelog.{self.source}"

    @cached_property
    def shuffle(self) -> str:
        return f"headrace.{self.project}.shuffle.{self.source}"

    @cached_property
    def shuffle_changelog(self) -> str:
        return f"headrace.{self.project}.shuffle-changelog.{self.source}"


@dataclass(frozen=True)
class RouterTopics:
    """Topics of one router.

    Attributes
    ----------
    predictions
        The prediction log.
    outcomes
        Outcomes of every origin, keyed and partitioned as the predictions are.
    join_changelog
        Compacted state of the join.
    examples
        Training examples; one partition, so that their order is the order of learning.
    closings
        Every prediction once, at exactly its time plus the wait, with its label or without one.
    epochs
        Propensity vectors, one after the other.
    """

    project: str
    router: str

    @cached_property
    def predictions(self) -> str:
        return f"headrace.{self.project}.predictions.{self.router}"

    @cached_property
    def outcomes(self) -> str:
        return f"headrace.{self.project}.outcomes.{self.router}"

    @cached_property
    def join_changelog(self) -> str:
        return f"headrace.{self.project}.join-changelog.{self.router}"

    @cached_property
    def examples(self) -> str:
        return f"headrace.{self.project}.examples.{self.router}"

    @cached_property
    def closings(self) -> str:
        return f"headrace.{self.project}.closings.{self.router}"

    @cached_property
    def epochs(self) -> str:
        return f"headrace.{self.project}.epochs.{self.router}"

    def input(self, name: Literal["predictions", "outcomes"]) -> str:
        """Return the topic of an input of the join."""
        return self.predictions if name == "predictions" else self.outcomes


@dataclass(frozen=True)
class ProjectTopics:
    """Topics of a project.

    Attributes
    ----------
    prefix
        Begins the name of every topic of the project.
    dead_letters
        Records that could not be processed.
    late
        Records that came too late.
    models
        Every version of every learner, with its metrics and digest: the lineage.
    train_changelog
        Compacted state of the trainer: which artifact of each learner counts, and the state of the epochs.
        Whoever has its one partition is the trainer.

    Examples
    --------
    >>> topics = ProjectTopics("shop")
    >>> topics.late, topics.router("offers").examples, topics.source("clicks").changelog
    ('headrace.shop.late', 'headrace.shop.examples.offers', 'headrace.shop.changelog.clicks')
    """

    project: str

    @cached_property
    def prefix(self) -> str:
        return f"headrace.{self.project}."

    @cached_property
    def dead_letters(self) -> str:
        return f"headrace.{self.project}.dead-letters"

    @cached_property
    def late(self) -> str:
        return f"headrace.{self.project}.late"

    @cached_property
    def models(self) -> str:
        return f"headrace.{self.project}.models"

    @cached_property
    def train_changelog(self) -> str:
        return f"headrace.{self.project}.train-changelog"

    def router(self, name: str) -> RouterTopics:
        """Return the topics of a router."""
        return RouterTopics(self.project, name)

    def source(self, name: str) -> SourceTopics:
        """Return the topics of an event source."""
        return SourceTopics(self.project, name)

    def takes_outcomes(self, topic: str) -> bool:
        """Whether a topic has the outcomes of a router.

        Examples
        --------
        >>> ProjectTopics("shop").takes_outcomes("headrace.shop.outcomes.offers")
        True
        """
        return topic.startswith(self.router("").outcomes)
