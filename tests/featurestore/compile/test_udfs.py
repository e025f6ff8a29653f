"""A view's udf in pandas mode: what the plan holds of it, what `plan` refuses, and how a process gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.registration import register
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import ColumnSpec, UdfSpec
from tests.support.edits import GOOD_UDF, Replace, WriteUdf, objection


def udf_of(repo: Path) -> UdfSpec:
    (view,) = compile_features(repo).stream_views
    assert view.udf is not None
    return view.udf


def refusal(repo: Path) -> str:
    with pytest.raises(DefinitionError) as caught:
        compile_features(repo)
    assert caught.value.file == "features.py"
    assert "stream feature view 'carrier_delays', udf 'late'" in caught.value.name
    return str(caught.value)


def test_the_plan_has_its_text_with_what_it_names_its_inputs_and_derived_columns(
    repo: Path, write_udf: WriteUdf
) -> None:
    write_udf(GOOD_UDF)
    udf = udf_of(repo)
    for text in ("def late(df):", "LEAST", "1", "def in_hours(minutes):"):
        assert text in udf.source
    assert "StreamFeatureView" not in udf.source
    assert udf.inputs[0] == ColumnSpec(name="carrier", kind="string", nullable=False)
    assert [c.name for c in udf.inputs if c.nullable] == ["dep_delay", "note"]
    assert {c.name: c.kind for c in udf.outputs} == {"flight": "long", "hours": "double", "seats": "long"}


@pytest.mark.parametrize(
    "change", [('seats"] >', 'seats"] >='), ("LEAST = 1", "LEAST = 2"), ("/ 60", "/ 61")]
)
def test_another_text_is_another_definition(
    repo: Path, write_udf: WriteUdf, replace: Replace, change: Any
) -> None:
    from headrace.streams.state.fingerprint import definition_of

    write_udf(GOOD_UDF)
    before = compile_features(repo).plan()
    assert compile_features(repo).plan().hash == before.hash
    replace(*change)
    after = compile_features(repo).plan()
    assert after.hash != before.hash
    assert definition_of(after, after.sources[0]) != definition_of(before, before.sources[0])


def test_what_is_around_it_is_no_part_of_it(repo: Path, write_udf: WriteUdf, replace: Replace) -> None:
    write_udf(GOOD_UDF)
    before = udf_of(repo)
    replace("ttl=timedelta(days=1)", "ttl=timedelta(days=2)")
    assert udf_of(repo) == before


def test_a_decorated_function_is_a_view_with_a_udf(repo: Path, replace: Replace, append: Any) -> None:
    append("""
        from feast.stream_feature_view import stream_feature_view

        @stream_feature_view(
            entities=[carrier],
            source=departures,
            ttl=timedelta(0),
            mode="pandas",
            timestamp_field="departed_at",
            schema=[Field(name="carrier", dtype=String), Field(name="n_evening", dtype=Int64)],
            aggregations=[
                Aggregation(
                    column="flight", function="count", time_window=timedelta(hours=1), name="n_evening"
                )
            ],
        )
        def evenings(df):
            return df[df["departed_at"].dt.hour >= 18]
        """)
    views = {view.name: view for view in compile_features(repo).stream_views}
    assert views["carrier_delays"].udf is None
    assert views["evenings"].udf.source.startswith("def evenings(df):")
    register(repo)


def test_a_lambda_is_known_by_its_own_text(repo: Path, replace: Replace) -> None:
    replace(
        'tags={"headrace.quantum"',
        'udf=lambda df: df[df["seats"] > 5], mode="pandas", tags={"headrace.quantum"',
    )
    assert udf_of(repo).source == 'lambda df: df[df["seats"] > 5]'


def test_a_tag_says_which_columns_it_is_given(repo: Path, write_udf: WriteUdf) -> None:
    write_udf(GOOD_UDF.replace('"note"', '"seats"'), tags='"headrace.columns": "seats, dep_delay, flight", ')
    names = [column.name for column in udf_of(repo).inputs]
    assert names == ["carrier", "flight", "dep_delay", "seats", "departed_at"]


REFUSED = {
    "an unknown column": (
        {"body": GOOD_UDF.replace("dep_delay", "delay")},
        ("KeyError: 'delay'", "dep_delay"),
    ),
    "no derived column": (
        {"body": GOOD_UDF.replace('"hours"', '"hors"'), "column": "hours"},
        ("no column 'hours'", "Did you mean 'hors'?"),
    ),
    "no DataFrame": ({"body": ' return df["seats"]\n'}, ("is a Series, not a DataFrame",)),
    "a lost index": ({"body": GOOD_UDF.replace('"note")', '"note").reset_index()')}, ("lost the index",)),
    "a row twice": (
        {"body": ' import pandas\n df["hours"] = 1.0\n return pandas.concat([df, df])\n'},
        ("a record twice",),
    ),
    "a changed join key": (
        {"body": ' df["hours"] = 1.0\n df["carrier"] = "x"\n return df\n'},
        ("changes 'carrier'", "name another column"),
    ),
    "a changed event time": (
        {"body": ' df["hours"] = 1.0\n df["departed_at"] = df["departed_at"].dt.floor("D")\n return df\n'},
        ("changes 'departed_at'",),
    ),
    "a result of several rows": (
        {"body": ' df["hours"] = df["seats"] - df["seats"].mean()\n return df\n'},
        ("not row-wise", "aggregations"),
    ),
    "a filter over several rows": (
        {"body": ' df["hours"] = 1.0\n return df.drop_duplicates("origin")\n'},
        ("not row-wise", "alone it gave {'flight'"),
    ),
    "a time": ({"body": ' df["hours"] = df["departed_at"]\n return df\n'}, ("datetime64", ".astype")),
    "a list": ({"body": ' df["hours"] = [[1]] * len(df)\n return df\n'}, ("holds a list",)),
    "an unknown type": (
        {"body": ' df = df[df["seats"] > 10**9]\n df["hours"] = df["note"].map({})\n'
                 ' df["hours"] = df["hours"].astype(object)\n return df\n'},
        ("no sample passes", '.astype("float64")'),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(repo: Path, write_udf: WriteUdf, given: dict[str, str], said: tuple[str, ...]) -> None:
    write_udf(**given)
    error = refusal(repo)
    for words in said:
        assert words in error


def test_a_view_whose_udf_is_of_another_mode_is_left_out(repo: Path, write_udf: WriteUdf) -> None:
    write_udf(GOOD_UDF, mode="python")
    left_out = objection(repo)
    assert "mode is 'python'" in left_out.problem
    assert 'mode="pandas"' in left_out.remedy


def test_a_tag_of_columns_is_for_plain_fields_of_a_udf(
    repo: Path, write_udf: WriteUdf, replace: Replace
) -> None:
    replace('tags={"headrace.quantum"', 'tags={"headrace.columns": "seats", "headrace.quantum"')
    with pytest.raises(DefinitionError, match=r"it has the tag 'headrace\.columns' and no udf"):
        compile_features(repo)
    replace('"headrace.columns": "seats", ', "")
    replace('{"name": "origin", "type": "string"}', '{"name": "origin", "type": "bytes"}')
    write_udf(GOOD_UDF, tags='"headrace.columns": "origin", ')
    assert "tag 'headrace.columns': column 'origin' is no number, text or bool" in refusal(repo)


def test_a_function_that_is_not_of_the_repository_is_refused(repo: Path, replace: Replace) -> None:
    udf = '__import__("textwrap").dedent'
    replace('tags={"headrace.quantum"', f'udf={udf}, mode="pandas", tags={{"headrace.quantum"')
    with pytest.raises(DefinitionError, match=r"udf 'dedent': .*\. Write it with def in a file of the repo"):
        compile_features(repo)


def test_a_type_that_no_sample_tells_is_told_by_a_conversion(repo: Path, write_udf: WriteUdf) -> None:
    write_udf(
        ' df = df[df["note"] == "never"]\n df["hours"] = df["note"].str.len().astype("float64")\n return df\n'
    )
    assert {c.name: c.kind for c in udf_of(repo).outputs}["hours"] == "double"


def test_one_that_fails_on_some_samples_is_not_refused(repo: Path, write_udf: WriteUdf) -> None:
    write_udf(' df["hours"] = df["note"].fillna("1").map(float)\n return df\n')
    assert {c.name: c.kind for c in udf_of(repo).outputs}["hours"] == "double"
