"""A process does not start on topics that lose what it lives by, and warns of others that differ."""

from __future__ import annotations

import pytest

from headrace.streams.runtime.internal_topics import PROCESSES, internal_settings, process_topics
from headrace.streams.runtime.topic_checks import losses
from headrace.streams.runtime.topic_settings import COMPACT, KEEP, LARGE, differences
from tests.support.join_scene import a_plan
from tests.support.purchases import purchases_plan

DAY_MS = 86_400_000
BOTH = {"cleanup.policy": "compact,delete"}


@pytest.mark.parametrize(
    ("wanted", "changed", "lost"),
    [
        (COMPACT, {"cleanup.policy": "delete", "retention.ms": "604800000"}, ["cleanup.policy"]),
        (
            COMPACT,
            BOTH | {"retention.ms": str(400 * DAY_MS)},
            ["cleanup.policy"],
        ),
        (COMPACT, BOTH | {"retention.bytes": "1000"}, ["cleanup.policy"]),
        (COMPACT, {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}, []),
        (COMPACT, {"retention.ms": "1000"}, []),  # of a policy that it does not have
        (KEEP, {"retention.ms": str(DAY_MS)}, ["retention.ms"]),
        (KEEP, {"retention.ms": "0"}, ["retention.ms"]),
        (KEEP, {"retention.ms": str(7 * DAY_MS)}, []),  # short it is not: a warning
        (KEEP, {"retention.bytes": "100000"}, ["retention.bytes"]),
        (KEEP, {"retention.bytes": str(1 << 40)}, []),
        (KEEP, {"cleanup.policy": "compact"}, ["cleanup.policy"]),
        (KEEP, BOTH | {"retention.ms": "1"}, ["cleanup.policy", "retention.ms"]),
    ],
)
def test_what_a_topic_loses_by_its_settings(
    wanted: dict[str, str], changed: dict[str, str], lost: list[str]
) -> None:
    found = {"retention.ms": "-1", "retention.bytes": "-1"} | wanted | changed
    assert [one.key for one in losses("t", wanted, found)] == lost
    if wanted == KEEP:
        assert {*lost} <= {one.key for one in differences("t", wanted, found)}


def test_a_message_that_is_larger_and_a_setting_that_is_not_shown_are_no_difference() -> None:
    assert not list(differences("t", LARGE, {"max.message.bytes": str(16 << 20)}))
    assert not list(differences("t", COMPACT, {"cleanup.policy": "compact"}))
    (smaller,) = differences("t", LARGE, {"max.message.bytes": "1048588"})
    assert str(smaller) == "topic 't' has max.message.bytes=1048588, wanted is 8388608"


def test_every_internal_topic_is_looked_after_by_the_process_that_lives_by_it() -> None:
    for plan in (a_plan("p", "first", "negative"), purchases_plan("p", late_tiles=1, max_future_ms=1)):
        of_each = {process: process_topics(plan, process) for process in PROCESSES}
        alone = {name for one in of_each.values() for name in one.lives_by}
        looked_after = alone | {name for one in of_each.values() for name in one.writes}
        of_views = {s.name for s in plan.sources if not plan.views_of(s.name)}
        unused = {plan.topics.source(name).changelog for name in of_views}
        assert looked_after >= internal_settings(plan).keys() - unused - {plan.topics.late}
        kept_by_nobody = {plan.topics.dead_letters, plan.topics.late} | {
            plan.topics.router(router.name).epochs for router in plan.routers
        }
        assert alone == internal_settings(plan).keys() - unused - kept_by_nobody
        assert not of_each["serve"].lives_by  # it answers, whatever becomes of its log
