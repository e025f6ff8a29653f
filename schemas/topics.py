"""Names of the topics Headrace owns. Event topics belong to the user and are named in the plan."""

from __future__ import annotations


def owned(project: str) -> str:
    """What the names of all of them begin with."""
    return f"headrace.{project}."


def dead_letters(project: str) -> str:
    return f"headrace.{project}.dead-letters"


def late(project: str) -> str:
    return f"headrace.{project}.late"


def changelog(project: str, source: str) -> str:
    """Compacted state of the partitions of one event topic."""
    return f"headrace.{project}.changelog.{source}"


def shuffle(project: str, source: str) -> str:
    """Columnar blocks of one event topic, repartitioned by the views' join keys."""
    return f"headrace.{project}.shuffle.{source}"


def shuffle_changelog(project: str, source: str) -> str:
    """Compacted state of the shards of one event topic."""
    return f"headrace.{project}.shuffle-changelog.{source}"


def predictions(project: str, router: str) -> str:
    return f"headrace.{project}.predictions.{router}"


def outcomes(project: str, router: str) -> str:
    """Outcomes of every origin, keyed and partitioned as the predictions are."""
    return f"headrace.{project}.outcomes.{router}"


def join_changelog(project: str, router: str) -> str:
    return f"headrace.{project}.join-changelog.{router}"


def examples(project: str, router: str) -> str:
    """Training examples; one partition, so that their order is the order of learning."""
    return f"headrace.{project}.examples.{router}"


def closings(project: str, router: str) -> str:
    """Every prediction once, at exactly its time plus the wait, with its label or without one."""
    return f"headrace.{project}.closings.{router}"


def epochs(project: str, router: str) -> str:
    return f"headrace.{project}.epochs.{router}"
