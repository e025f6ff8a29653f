"""Partitions that were added to topics: which views they concern, and what is refused for them."""

from __future__ import annotations

import pytest

from headrace.deploy.commands.partitions import added_partitions, refuse_moved_keys, unread_records
from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from tests.support.audit_scene import with_router
from tests.support.purchases import purchases_plan


def shuffled(plan: Plan) -> Plan:
    """The same views behind the shuffle."""
    source = plan.sources[0].model_copy(update={"key_field": None})
    return plan.model_copy(update={"sources": (source,)})


PLAN = purchases_plan()
TOPIC, CHANGELOG = PLAN.sources[0].topic, PLAN.topics.source("purchases").changelog


def ends(topic: int, changelog: int, records: int = 4) -> dict[tuple[str, int], int]:
    """Of an event topic and a changelog with so many partitions."""
    found = {(TOPIC, number): records for number in range(topic)}
    return found | {(CHANGELOG, number): 9 for number in range(changelog)}


@pytest.mark.parametrize(("topic", "changelog"), [(2, 2), (2, 3), (2, 0), (0, 0)])
def test_nothing_was_added(topic: int, changelog: int) -> None:
    """To a topic that has no state yet neither."""
    assert added_partitions(PLAN, ends(topic, changelog)) == []
    assert unread_records(PLAN, ends(topic, changelog)) == {}
    refuse_moved_keys(PLAN, ends(topic, changelog))


def test_views_that_read_the_topic_directly_are_named_with_how_long_they_would_be_wrong() -> None:
    (added,) = added_partitions(PLAN, ends(4, 2))
    assert (added.known, added.found, added.records) == (2, 4, 8)
    assert (added.moving, added.shuffled) == ({"by_user": 70}, ("by_shop", "by_both"))
    text = "\n".join(added.lines())
    assert "has 4 partitions, and had 2 when its state was made: 8 records" in text
    assert "view 'by_user' reads the topic directly" in text
    assert "until 0.07 s have passed" in text
    assert "right in any case, behind the shuffle: by_shop, by_both" in text
    assert unread_records(PLAN, ends(4, 2)) == {(TOPIC, 2): 4, (TOPIC, 3): 4}


def test_a_lifetime_would_be_wrong_for_ever() -> None:
    (added,) = added_partitions(purchases_plan(ever=("by_user",)), ends(4, 2))
    assert added.moving == {"by_user": 0}
    assert "one part of them, for ever" in "\n".join(added.lines())


def test_a_plan_with_such_views_is_refused_and_one_without_is_not() -> None:
    with pytest.raises(
        PlanError, match=r"by_user(.|\n)*'headrace.key' out of source 'purchases'(.|\n)*--allow"
    ):
        refuse_moved_keys(PLAN, ends(3, 2))
    refuse_moved_keys(shuffled(PLAN), ends(3, 2))
    (added,) = added_partitions(shuffled(PLAN), ends(3, 2))
    assert (added.moving, added.shuffled) == ({}, ("by_user", "by_shop", "by_both"))


def test_partitions_of_inner_topics_beyond_the_plan_count_where_they_have_records() -> None:
    plan = with_router(PLAN)
    topics, partitions = plan.topics.router("delays"), plan.routers[0].partitions
    found = {(topics.predictions, number): 5 for number in range(partitions + 1)}
    found |= {(topics.examples, number): 0 for number in range(3)}
    found |= {(topics.outcomes, number): 0 for number in range(partitions + 2)}
    assert unread_records(plan, found) == {(topics.predictions, partitions): 5}
