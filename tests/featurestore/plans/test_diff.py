"""What `headrace plan` tells of the changes."""

from __future__ import annotations

from pathlib import Path

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.plans.diff import plan_changes
from headrace.schemas.feature_specs import ColumnSpec, UdfSpec
from headrace.schemas.plan import DescriptionSpec, Plan
from headrace.schemas.router_specs import LearnerSpec
from tests.support.carrier_repository import ON_DEMAND
from tests.support.edits import Append, Replace


def lines(old: Plan | None, new: Plan) -> list[str]:
    return [line for change in plan_changes(old, new) for line in (change.title, *change.lines)]


def test_everything_is_added_where_there_was_no_plan(repo: Path) -> None:
    learner = LearnerSpec(name="logistic", service="delays", target="late", definition="abc")
    told = lines(None, compile_features(repo).plan(learners=[learner]))
    assert "+ source departures" in told
    assert "+ field dep_delay: null or double, default null" in told
    assert "+ stream feature view carrier_delays" in told
    assert "+ feature mean_1h: mean of dep_delay over 1:00:00 every 0:15:00, Float64, quantum 0.01" in told
    assert "+ feature service delays" in told
    assert "+ feature airlines:fleet" in told
    assert told[-1] == "+ learner logistic"


def test_nothing_is_told_where_nothing_changes(repo: Path) -> None:
    plan = compile_features(repo).plan()
    assert plan_changes(plan, plan) == []


def test_changed_fields_and_features_are_told(repo: Path, replace: Replace) -> None:
    old = compile_features(repo).plan()
    replace("ttl=timedelta(days=1)", "ttl=timedelta(days=2)")
    replace("slide_interval=timedelta(minutes=15)", "slide_interval=timedelta(minutes=10)")
    replace('Field(name="fleet", dtype=Int32)', 'Field(name="fleet", dtype=Int64)')
    replace('airlines[["fleet", "full_name"]]', 'airlines[["fleet", "share"]]')
    assert lines(old, compile_features(repo).plan()) == [
        "~ stream feature view carrier_delays",
        "~ ttl: 1 day -> 2 days",
        "~ feature mean_1h: hop: 0:15:00 -> 0:10:00",
        "~ feature view airlines",
        "~ field fleet: dtype: Int32 -> Int64",
        "~ feature service delays",
        "- feature airlines:full_name",
        "+ feature airlines:share",
    ]


def test_a_changed_event_schema_is_told_field_by_field(repo: Path, replace: Replace) -> None:
    old = compile_features(repo).plan()
    replace('{"name": "seats", "type": "long"},', '{"name": "seats", "type": "long", "default": 0},')
    replace('{"name": "note", "type": ["null", "string"], "default": None},', "")
    replace('"headrace.schema_id": "7"', '"headrace.schema_id": "8"')
    assert lines(old, compile_features(repo).plan()) == [
        "~ source departures",
        "~ field seats: long -> field seats: long, default 0",
        "- field note: null or string, default null",
        "- writer schema 7",
        "+ writer schema 8",
    ]


def test_removed_objects_are_told(repo: Path) -> None:
    plan = compile_features(repo).plan()
    assert lines(plan, plan.model_copy(update={"services": (), "batch_views": ()})) == [
        "- feature view airlines",
        "- feature service delays",
    ]


def test_owners_descriptions_and_tags_are_kept_in_the_plan_and_told(repo: Path, replace: Replace) -> None:
    old = compile_features(repo).plan()
    replace('tags={"headrace.quantum": "dep_delay=0.01"}', 'tags={"team": "ops"}, owner="ada@example.org"')
    replace('Field(name="n_1h", dtype=Int64)', 'Field(name="n_1h", dtype=Int64, description="departures")')
    replace('Entity(name="carrier", ', 'Entity(name="carrier", owner="ada@example.org", ')
    new = compile_features(repo).plan()
    view = DescriptionSpec(
        kind="stream feature view", name="carrier_delays", owner="ada@example.org", tags={"team": "ops"}
    )
    assert new.description_of("stream feature view", "carrier_delays") == view
    assert new.description_of("feature", "carrier_delays:n_1h").description == "departures"
    assert Plan.from_json(new.to_json()) == new
    told = lines(old, new)
    assert told[:2] == ["~ entity carrier", "+ owner: ada@example.org"]
    assert told[-3:] == [
        "+ owner: ada@example.org",
        "+ tag team: ops",
        "+ feature n_1h, description: departures",
    ]


def test_another_owner_is_no_other_definition_of_the_view(repo: Path, replace: Replace) -> None:
    from headrace.streams.state.fingerprint import definition_of

    old = compile_features(repo).plan()
    replace("ttl=timedelta(days=1)", 'ttl=timedelta(days=1), owner="ada@example.org"')
    new = compile_features(repo).plan()
    assert new.hash != old.hash
    assert definition_of(new, new.sources[0]) == definition_of(old, old.sources[0])


def test_an_on_demand_view_is_told_with_its_inputs_and_what_is_said_of_it(repo: Path, append: Append) -> None:
    old = compile_features(repo).plan()
    append(ON_DEMAND)
    assert lines(old, compile_features(repo).plan()) == [
        "+ on demand feature view shares",
        "+ input carrier_delays:mean_1h",
        "+ input airlines:fleet",
        "+ request field row: Int64",
        "+ feature per_plane: Float64",
        "+ feature in_front: Bool",
        "+ owner: ada@example.org",
        "+ feature service computed",
        "+ feature shares:per_plane",
        "+ feature shares:in_front",
    ]


def test_a_changed_on_demand_view_is_told(repo: Path, append: Append, replace: Replace) -> None:
    append(ON_DEMAND)
    parts = compile_features(repo)
    assert parts.place_of("on demand feature view", "shares").startswith("features.py:")
    old = parts.plan()
    replace('Field(name="row", dtype=Int64)', 'Field(name="row", dtype=Float64)')
    replace('airlines[["fleet"]]', 'airlines[["fleet", "share"]]')
    replace("< 10", "< 12")
    new = compile_features(repo).plan()
    one, other = (plan.on_demand_view("shares").definition[:12] for plan in (old, new))
    assert lines(old, new) == [
        "~ on demand feature view shares",
        f"~ definition: {one} -> {other}",
        "~ request field row: dtype: Int64 -> Float64",
        "+ input airlines:share",
    ]


def test_a_changed_udf_is_told_by_its_text_and_columns(repo: Path) -> None:
    amount = ColumnSpec(name="amount", kind="long", nullable=False)
    hours = ColumnSpec(name="hours", kind="double")
    one = UdfSpec(source="a", inputs=(amount,), outputs=(hours,))
    other = UdfSpec(source="b", inputs=(amount, hours), outputs=(hours,))
    plan = compile_features(repo).plan()

    def having(udf: UdfSpec) -> Plan:
        view = plan.stream_views[0].model_copy(update={"udf": udf})
        return plan.model_copy(update={"stream_views": (view,)})

    assert lines(having(one), having(other)) == [
        "~ stream feature view carrier_delays",
        f"~ udf: text {one.digest} -> {other.digest}, "
        "takes amount: long -> amount: long, hours: double or null",
    ]
    assert lines(plan, having(one))[1] == f"~ udf: none -> {one.digest} of amount"


def test_a_feature_that_is_read_by_another_column_is_told_with_it(
    repo: Path, append: Append, replace: Replace
) -> None:
    append("""
        FIRST = airlines.with_name("first").with_join_key_map({"carrier": "by"})[["fleet"]]
        legs = FeatureService(name="legs", features=[FIRST])
        del FIRST
        """)
    old = compile_features(repo).plan()
    replace('{"carrier": "by"}', '{"carrier": "flown_by"}')
    assert lines(old, compile_features(repo).plan()) == [
        "~ feature service legs",
        "~ feature first:fleet of airlines by carrier=by -> "
        "feature first:fleet of airlines by carrier=flown_by",
    ]
