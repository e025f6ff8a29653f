"""What `headrace plan` says a change costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace.featurestore.plans.report import report
from headrace.featurestore.plans.usage import Amount, NoUsage
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    FeatureRef,
    FieldSpec,
    OnDemandViewSpec,
    StreamViewSpec,
    UdfSpec,
)
from headrace.schemas.router_specs import PolicySpec
from headrace.schemas.spec import Spec
from tests.support.usage_plan import ROUTER, SPENT, VISITS, plan


@dataclass
class Given:
    """Usage as a test wants it."""

    of_views: dict[str, Amount] = field(default_factory=dict)
    of_topics: int = 0
    of_learners: int = 0

    def rows(self, view: StreamViewSpec | BatchViewSpec) -> Amount:
        return self.of_views.get(view.name, Amount(0))

    def records(self, topic: str) -> Amount:
        return Amount(self.of_topics)

    def examples(self, learner: str) -> Amount:
        return Amount(self.of_learners)


def changed(spec: Spec, **update: Any) -> Any:
    return spec.model_copy(update=update)


def test_a_new_feature_costs_the_topic_the_rows_and_the_models_that_read_it() -> None:
    usage = Given({"user_spent": Amount(12_000, exact=False)}, of_topics=162_517, of_learners=77_911)
    told = report(plan(SPENT), plan(SPENT, VISITS), usage)
    assert told.splitlines() == [
        "~ source purchases",
        "    cost: topic p.purchases is read from its beginning, 162,517 records so far, "
        "to compute user_spent",
        "    cost: until that is done their rows go back to earlier values",
        "~ stream feature view user_spent",
        "    + feature visits: count of items over 0:00:01 every 0:00:00.100000, Int64",
        "    cost: about 12,000 rows in Redis to rewrite",
        "    cost: backfill needed: visits; online and in the feature log as far back as topic "
        "p.purchases goes",
        "    cost: learners affected: line, tree",
        "~ feature service all",
        "    + feature user_spent:visits",
        "~ learner line",
        "    ~ definition: line1 -> line2",
        "    cost: a new major version begins and learns the examples of router main from the first one, "
        "77,911 records so far",
        "    cost: the examples so far were served without user_spent:visits",
        "~ learner tree",
        "    ~ definition: tree1 -> tree2",
        "    cost: a new major version begins and learns the examples of router main from the first one, "
        "77,911 records so far",
        "    cost: the examples so far were served without user_spent:visits",
        "",
        "5 changed",
    ]


def test_another_udf_costs_the_topic_and_all_features_of_its_view() -> None:
    old, udf = plan(SPENT, VISITS), UdfSpec(source="a", inputs=(), outputs=())
    one, other = (
        changed(old, stream_views=(changed(old.stream_views[0], udf=changed(udf, source=text)),))
        for text in "ab"
    )
    usage = Given({"user_spent": Amount(12)}, of_topics=162_517)
    assert report(one, other, usage).splitlines() == [
        "~ source purchases",
        "    cost: topic p.purchases is read from its beginning, 162,517 records so far, "
        "to compute user_spent",
        "    cost: until that is done their rows go back to earlier values",
        "~ stream feature view user_spent",
        "    ~ udf: text ca978112ca1b -> 3e23e8160039",
        "    cost: 12 rows in Redis to rewrite",
        "    cost: backfill needed: spent, visits; online and in the feature log as far back as topic "
        "p.purchases goes",
        "    cost: learners affected: line, tree",
        "    unsafe: udf: text ca978112ca1b -> 3e23e8160039; all its features would mean something else. "
        "Give the new view a name of its own",
        "",
        "2 changed; 1 of it is unsafe, and refused by `headrace apply` without --allow-unsafe",
    ]


def test_another_function_on_demand_costs_the_clients_their_repository() -> None:
    view = OnDemandViewSpec(
        name="ratios", mode="python", inputs=(FeatureRef(view="profile", feature="age"),), request=(),
        features=(FieldSpec(name="ratio", dtype="Float64"),), file="features.py", definition="a",
    )  # fmt: skip
    old = plan(SPENT, on_demand_views=(view,))
    new = changed(old, on_demand_views=(changed(view, definition="b"),))
    assert report(old, new, Given(of_topics=5)).splitlines() == [
        "~ on demand feature view ratios",
        "    ~ definition: a -> b",
        "    cost: clients that compute it need features.py as it is now, and are refused with another",
        "",
        "1 changed",
    ]


def test_what_costs_nothing_has_no_cost() -> None:
    old = plan(SPENT)
    kept = changed(old, stream_views=(changed(old.stream_views[0], ttl_ms=1000),))
    assert report(old, kept, Given(of_topics=5)).splitlines() == [
        "~ stream feature view user_spent",
        "    ~ ttl: none -> 0:00:01",
        "",
        "1 changed",
    ]
    assert report(old, old, NoUsage()) == "nothing would change"


def test_more_lateness_has_the_views_of_the_source_computed_anew() -> None:
    old = plan(SPENT)
    source = changed(old.sources[0], late_tiles=old.sources[0].late_tiles + 1)
    told = report(old, changed(old, sources=(source,)), Given(of_topics=5))
    assert "topic p.purchases is read from its beginning, 5 records so far, to compute user_spent" in told


def test_a_removed_view_leaves_rows_behind() -> None:
    old = plan(SPENT)
    told = report(old, changed(old, batch_views=()), Given({"profile": Amount(1)}))
    assert "- feature view profile\n    cost: 1 row left in Redis, read by nobody" in told


def test_a_new_batch_feature_wants_materialising() -> None:
    old = plan(SPENT)
    profile = old.batch_views[0]
    more = changed(profile, features=(*profile.features, FieldSpec(name="zip", dtype="String")))
    told = report(old, changed(old, batch_views=(more,)), Given({"profile": Amount(7)}))
    assert "7 rows in Redis to rewrite" in told
    assert "headrace materialize" in told


def test_another_policy_computes_the_epochs_again() -> None:
    old = plan(SPENT)
    router = changed(ROUTER, policy=PolicySpec(floor=0.1))
    told = report(old, changed(old, routers=(router,)), NoUsage())
    assert "~ policy.floor: 0.0 -> 0.1" in told
    assert "its epochs are computed again from the first closing, by another policy" in told


def test_unsafe_changes_are_told_with_the_change_and_counted() -> None:
    wider = changed(SPENT, window_ms=2000)
    told = report(plan(SPENT), plan(wider), NoUsage())
    assert "    unsafe: feature 'spent': window: 0:00:01 -> 0:00:02" in told
    assert told.endswith("1 of it is unsafe, and refused by `headrace apply` without --allow-unsafe")
