"""Feature services: features of views as objects or text, in Feast's order."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.feature_specs import FeatureRef
from tests.support.edits import Append, refusal


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
        ("[]", "it has no features"),
        ("[airlines[['fleet']], 'airlines:fleet']", "it has 'airlines:fleet' twice"),
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
        ("['airlines@v2:fleet']", "it pins a version in 'airlines@v2:fleet'"),
        ("[airlines.with_name('carriers')]", "it renames view 'airlines' or its join keys"),
        (
            "[airlines.with_join_key_map({'carrier': 'airline'})]",
            "it renames view 'airlines' or its join keys",
        ),
    ],
)
def test_a_service_that_feast_alone_serves_is_left_out(
    repo: Path, append: Append, features: str, said: str
) -> None:
    append(f"odd = FeatureService(name='odd', features={features})\n")
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
