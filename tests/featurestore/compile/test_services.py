"""Feature services: features of views as objects or text, in Feast's order."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.plan import Plan
from tests.support.edits import Append, refusal

OTHERS = """
number = Entity(name="number", value_type=ValueType.INT64)
flights = FeatureView(
    name="flights", entities=[number], schema=[Field(name="seats", dtype=Int64)],
    source=FileSource(name="flights_table", path="f.parquet", timestamp_field="at"),
)
routes = FeatureView(
    name="routes", entities=[origin, carrier], schema=[Field(name="miles", dtype=Int64)],
    source=FileSource(name="routes_table", path="r.parquet", timestamp_field="at"),
)
"""


def test_a_view_may_be_renamed_and_read_by_other_columns(repo: Path, append: Append) -> None:
    append(
        OTHERS
        + """
twice = FeatureService(
    name="twice",
    features=[
        airlines.with_name("first").with_join_key_map({"carrier": "by"})[["fleet"]],
        airlines.with_name("airlines").with_join_key_map({"carrier": "carrier"})[["fleet"]],
        routes.with_join_key_map({"origin": "place"}),
    ],
)
"""
    )
    plan = compile_features(repo).plan()
    refs = plan.service("twice").features
    assert refs == (
        FeatureRef(view="airlines", feature="fleet", alias="first", join_key_map=(("carrier", "by"),)),
        FeatureRef(view="airlines", feature="fleet"),
        FeatureRef(view="routes", feature="miles", join_key_map=(("origin", "place"),)),
    )
    assert [ref.full_name for ref in refs] == ["first__fleet", "airlines__fleet", "routes__miles"]
    assert [key.name for key in plan.request_keys(refs)] == ["by", "carrier", "place"]
    assert Plan.from_json(plan.to_json()).service("twice") == plan.service("twice")


def test_a_service_has_the_features_of_its_views(repo: Path) -> None:
    (service,) = compile_features(repo).services
    names = [f"carrier_delays:{name}" for name in ("n_1h", "mean_1h", "seats_max_1d")]
    assert service.features == tuple(
        FeatureRef(view=view, feature=feature)
        for view, feature in (name.split(":") for name in [*names, "airlines:fleet", "airlines:full_name"])
    )


def test_service_may_name_features_as_text(repo: Path, append: Append) -> None:
    append("named = FeatureService(name='named', features=['airlines:fleet', 'carrier_delays'])\n")
    service = compile_features(repo).plan().service("named")
    assert [ref.full_name for ref in service.features][:2] == ["airlines__fleet", "carrier_delays__n_1h"]


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("['airlines:fleets']", "view 'airlines' has no feature 'fleets'. Did you mean 'fleet'?"),
        ("['airline']", "there is no view 'airline'. Did you mean 'airlines'?"),
    ],
)
def test_a_service_that_cannot_be_served_is_refused(
    repo: Path, append: Append, features: str, said: str
) -> None:
    append(f"odd = FeatureService(name='odd', features={features})\n")
    error = refusal(repo)
    assert said in str(error)
    assert error.name == "feature service 'odd'"


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("[]", "it has no features"),
        ("[airlines[['fleet']], 'airlines:fleet']", "it has 'airlines:fleet' twice"),
        ("['airlines@v2:fleet']", "it pins a version in 'airlines@v2:fleet'"),
        ("[airlines.with_name('../up')]", "the name '../up' is not taken: it becomes that of a folder"),
        (
            "[airlines.with_join_key_map({'carier': 'airline'})]",
            "it maps 'carier', which is no join key of view 'airlines'. Did you mean 'carrier'?",
        ),
        (
            "[routes.with_join_key_map({'carrier': 'place', 'origin': 'place'})]",
            "two join keys of view 'routes' are one column of it (place, place)",
        ),
        (
            "[airlines[['fleet']], airlines.with_join_key_map({'carrier': 'other'})[['share']]]",
            "'airlines:fleet' and feature 'airlines:share by carrier=other' are of two views by one name",
        ),
        (
            "[airlines, carrier_delays.with_name('airlines')]",
            "feature 'airlines:n_1h of carrier_delays' are of two views by one name",
        ),
        (
            "[airlines, flights.with_join_key_map({'number': 'carrier'})]",
            "'carrier' of the request is both String and Int64",
        ),
    ],
)
def test_a_service_that_cannot_be_answered_is_left_out(
    repo: Path, append: Append, features: str, said: str
) -> None:
    append(f"{OTHERS}odd = FeatureService(name='odd', features={features})\n")
    assert [said in str(reason) for reason in compile_features(repo).left_out] == [True]
    assert [service.name for service in compile_features(repo).services] == ["delays"]


def test_a_view_that_is_not_online_is_left_out_with_what_reads_it(repo: Path, append: Append) -> None:
    append("""
        offline = FeatureView(
            name="offline", entities=[carrier], schema=[Field(name="x", dtype=Int64)], online=False,
            source=FileSource(name="offline_table", path="o.parquet", timestamp_field="at"),
        )
        odd = FeatureService(name="odd", features=[offline])
        """)
    view, service = compile_features(repo).left_out
    assert "feature view 'offline': it has online=False" in str(view)
    assert "'odd': it reads feature view 'offline', which does not run: it has online=False" in str(service)
