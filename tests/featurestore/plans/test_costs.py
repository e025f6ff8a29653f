"""What `headrace plan` says a change costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace.featurestore.plans.report import report
from headrace.featurestore.plans.usage import Amount, NoUsage
from headrace.schemas.feature_specs import (
    BatchViewSpec,
    ExpectationSpec,
    FeatureRef,
    FieldSpec,
    OnDemandViewSpec,
    StreamViewSpec,
    TableSpec,
    UdfSpec,
)
from headrace.schemas.router_specs import PolicySpec
from headrace.schemas.spec import Spec
from tests.support.usage_plan import ROUTER, SPENT, VISITS, plan


@dataclass
class Given(NoUsage):
    """Usage as a test wants it."""

    of_views: dict[str, Amount] = field(default_factory=dict)
    of_topics: int = 0
    of_learners: int = 0
    of_logs: int = 0
    gone: int = 0
    version: str = ""
    before: str = ""
    seconds: float | None = None
    deletes_rows: bool = True

    def rows(self, view: StreamViewSpec | BatchViewSpec) -> Amount:
        return self.of_views.get(view.name, Amount(0))

    def records(self, topic: str) -> Amount:
        return Amount(self.of_topics)

    def examples(self, learner: str) -> Amount:
        return Amount(self.of_learners)

    def logged(self, view: str) -> Amount:
        return Amount(self.of_logs)

    def deleted(self, topic: str) -> int:
        return self.gone

    def serving(self, learner: str) -> str:
        return self.version

    def learned_before(self, learner: str) -> str:
        return self.before

    def seconds_to_compute(self, source: str) -> float | None:
        return self.seconds

    def seconds_to_learn(self, learner: str) -> float | None:
        return self.seconds


def changed(spec: Spec, **update: Any) -> Any:
    return spec.model_copy(update=update)


def test_a_new_feature_costs_the_topic_the_rows_and_the_models_that_read_it() -> None:
    usage = Given(
        {"user_spent": Amount(12_000, exact=False)}, of_topics=162_517, of_learners=77_911, of_logs=502,
        version="1.5", seconds=170.0,
    )  # fmt: skip
    told = report(plan(SPENT), plan(SPENT, VISITS), usage)
    assert told.splitlines() == [
        "~ source purchases",
        "    cost: topic p.purchases is read from its beginning, 162,517 records so far, "
        "to compute user_spent",
        "    cost: that takes one worker about 170 s, by records of the topic computed just now",
        "    cost: until that is done their rows go back to earlier values",
        "    back: apply the former definitions: their state is in the changelogs, and goes on where it "
        "stopped; then run `headrace rebuild`, for rows that no event has touched meanwhile",
        "    back: what is set aside of feature logs comes back with the former definition",
        "~ stream feature view user_spent",
        "    + feature visits: count of items over 0:00:01 every 0:00:00.100000, Int64",
        "    cost: about 12,000 rows in Redis to rewrite",
        "    cost: the feature log of user_spent begins anew: what is in it, 502 rows, is set aside",
        "    cost: backfill needed: visits; online and in the feature log as far back as topic "
        "p.purchases goes",
        "    cost: learners affected: line, tree",
        "~ feature service all",
        "    + feature user_spent:visits",
        "~ learner line",
        "    ~ definition: line1 -> line2",
        "    cost: a new major version begins and learns the examples of router main from the first one, "
        "77,911 records so far",
        "    cost: for about 170 s answers come from 1.5 while the new one learns 77,911 records",
        "    cost: the examples so far were served without user_spent:visits",
        "    back: apply the former definition: it goes on from 1.5, where the model store has it",
        "~ learner tree",
        "    ~ definition: tree1 -> tree2",
        "    cost: a new major version begins and learns the examples of router main from the first one, "
        "77,911 records so far",
        "    cost: for about 170 s answers come from 1.5 while the new one learns 77,911 records",
        "    cost: the examples so far were served without user_spent:visits",
        "    back: apply the former definition: it goes on from 1.5, where the model store has it",
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
        "    back: apply the former definitions: their state is in the changelogs, and goes on where it "
        "stopped; then run `headrace rebuild`, for rows that no event has touched meanwhile",
        "    back: what is set aside of feature logs comes back with the former definition",
        "~ stream feature view user_spent",
        "    ~ udf: text ca978112ca1b -> 3e23e8160039",
        "    cost: 12 rows in Redis to rewrite",
        "    cost: the feature log of user_spent begins anew: what is in it is set aside",
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


def test_the_rows_of_a_removed_view_are_deleted_unless_feast_is_told_not_to() -> None:
    old = plan(SPENT)
    new, rows = changed(old, batch_views=()), {"profile": Amount(1)}
    assert report(old, new, Given(rows)).splitlines()[:3] == [
        "- feature view profile",
        "    cost: 1 row in Redis to delete",
        "    back: apply the former definition, then run `headrace materialize`, which writes it whole again",
    ]
    assert "cost: 1 row left in Redis, read by nobody" in report(old, new, Given(rows, deletes_rows=False))


def test_what_a_topic_has_deleted_is_gone_for_good() -> None:
    told = report(plan(SPENT), plan(SPENT, VISITS), Given(of_topics=5, gone=1000))
    assert "for good: topic p.purchases has deleted its first 1,000 records: nothing that is computed" in told
    assert "for good" not in report(plan(SPENT), plan(SPENT, VISITS), Given(of_topics=5))


def test_another_table_is_told_and_wants_materialising() -> None:
    old = plan(SPENT)
    tables = [TableSpec(place=f"data/{name}.parquet", timestamp_field="at", options="0") for name in "ab"]
    before, after = (
        changed(old, batch_views=(changed(old.batch_views[0], source=table),)) for table in tables
    )
    assert report(before, after, Given({"profile": Amount(7)})).splitlines() == [
        "~ feature view profile",
        "    ~ source.place: data/a.parquet -> data/b.parquet",
        "    cost: `headrace materialize` is needed: it reads the table from its beginning, and writes the "
        "latest row of every entity, over 7 rows in Redis",
        "    for good: rows of entities that the table does not have stay as they are",
        "    back: apply the former definition, then run `headrace materialize`, which writes it whole again",
        "",
        "1 changed",
    ]


def test_other_keys_are_told_for_the_rows_of_both_kinds() -> None:
    old = plan(SPENT)
    told = report(
        old, changed(old, online=changed(old.online, key_version=2)), Given({"user_spent": Amount(12)})
    )
    for words in (
        "cost: about 12 rows of stream views are not found by the new keys until `headrace rebuild`",
        "cost: `headrace materialize` writes every batch view from the beginning",
        "back: rows under the former keys stay in Redis",
    ):
        assert words in told


def test_an_expectation_that_only_counts_costs_nothing_and_one_that_refuses_costs_the_topic() -> None:
    old = plan(SPENT)
    counts = ExpectationSpec(field="items", least=0)
    for expected, costs in ((counts, False), (changed(counts, quarantine=True), True)):
        source = changed(old.sources[0], expectations=(expected,))
        told = report(old, changed(old, sources=(source,)), Given(of_topics=5))
        assert "+ expectation of items" in told
        assert ("cost: topic p.purchases is read from its beginning" in told) is costs


def test_labels_by_other_rules_close_what_waits() -> None:
    old = plan(SPENT)
    told = report(old, changed(old, routers=(changed(ROUTER, wait_ms=5000),)), NoUsage())
    assert "cost: its epochs are computed again from the first closing, by another wait_ms" in told
    assert "cost: predictions that wait for their labels now are closed by the new rules, too" in told


def test_a_new_batch_feature_wants_materialising() -> None:
    old = plan(SPENT)
    profile = old.batch_views[0]
    more = changed(profile, features=(*profile.features, FieldSpec(name="zip", dtype="String")))
    told = report(old, changed(old, batch_views=(more,)), Given({"profile": Amount(7)}))
    assert "cost: `headrace materialize` is needed: " in told
    assert "writes the latest row of every entity, over 7 rows in Redis" in told


def test_another_kind_of_policy_computes_the_epochs_again_and_other_numbers_of_it_do_not() -> None:
    old = plan(SPENT)
    again = "its epochs are computed again from the first closing, by another policy"
    router = changed(ROUTER, policy=PolicySpec(kind="epsilon_greedy"))
    told = report(old, changed(old, routers=(router,)), NoUsage())
    assert again in told
    assert "until as many closings are read, the epoch in force stays" in told
    router = changed(ROUTER, policy=PolicySpec(floor=0.1))
    told = report(old, changed(old, routers=(router,)), NoUsage())
    assert "~ policy.floor: 0.0 -> 0.1" in told
    assert "the next epoch is made of the rewards so far, by the new policy" in told
    assert again not in told


def test_an_arm_that_is_added_leaves_the_epochs() -> None:
    old = plan(SPENT)
    learner = changed(old.learners[0], name="more")
    router = changed(ROUTER, arms=(*ROUTER.arms, "more"))
    told = report(old, changed(old, routers=(router,), learners=(*old.learners, learner)), NoUsage())
    assert "more begins with a small share, the others keep their proportions" in told
    assert "its epochs" not in told


def test_a_definition_that_was_trained_before_goes_on_where_it_was() -> None:
    old = plan(SPENT)
    tree, line = old.learners
    new = changed(old, learners=(changed(tree, definition="former"), line))
    told = report(old, new, Given(of_learners=9, version="2.7", before="1.41"))
    assert "cost: it had version 1.41 by this definition, and goes on from it, through the examples" in told
    assert "cost: until then answers come from 2.7 while 1.41 catches up" in told


def test_unsafe_changes_are_told_with_the_change_and_counted() -> None:
    wider = changed(SPENT, window_ms=2000)
    told = report(plan(SPENT), plan(wider), NoUsage())
    assert "    unsafe: feature 'spent': window: 0:00:01 -> 0:00:02" in told
    assert told.endswith("1 of it is unsafe, and refused by `headrace apply` without --allow-unsafe")
