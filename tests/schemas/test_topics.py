"""Names of topics are what is on the brokers: they never change."""

from __future__ import annotations

from headrace.schemas.topics import ProjectTopics


def test_names_of_topics() -> None:
    project = ProjectTopics("shop")
    router, source = project.router("offers"), project.source("clicks")
    names = {
        project.dead_letters: "dead-letters",
        project.late: "late",
        source.changelog: "changelog.clicks",
        source.shuffle: "shuffle.clicks",
        source.shuffle_changelog: "shuffle-changelog.clicks",
        router.predictions: "predictions.offers",
        router.outcomes: "outcomes.offers",
        router.join_changelog: "join-changelog.offers",
        router.examples: "examples.offers",
        router.closings: "closings.offers",
        router.epochs: "epochs.offers",
    }
    assert names == {f"headrace.shop.{rest}": rest for rest in names.values()}
    assert all(name.startswith(project.prefix) for name in names)
    assert [name for name in names if project.takes_outcomes(name)] == [router.outcomes]
