"""One object that cannot run does not refuse the project, and every error is told at once."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.errors import DefinitionErrors
from tests.support.edits import Append, Replace, objection, refusal

UNWRITABLE = [
    ("t.Invalid", "Invalid", "calls Invalid what has no type"),
    ("t.Array(t.PdfBytes)", "Array(PdfBytes)", "has no Array(PdfBytes)"),
    ("t.Set(t.Json)", "Set(Json)", "has no Set(Json)"),
    ("t.Set(t.Set(t.Invalid))", "Set(Set(Invalid))", "calls Invalid what has no type"),
    ("t.Struct({'a': t.ScalarMap})", "Struct({a: ScalarMap})", "cannot write a ScalarMap in a Struct"),
    (
        "t.Array(t.Struct({'a b': t.Array(t.Set(t.Int64))}))",
        'Array(Struct({"a b": Array(Set(Int64))}))',
        "cannot write lists in lists in a Struct",
    ),
]
OTHERS = """
    from feast import LabelView, PushSource
    from feast.data_format import ProtoFormat

    table = FileSource(name="table", path="data/t.parquet", timestamp_field="at")
    pushed = PushSource(name="pushed", batch_source=table)
    foreign = KafkaSource(
        name="foreign", topic="foreign", timestamp_field="at", batch_source=table,
        message_format=ProtoFormat("a.B"),
    )
    X = [Field(name="x", dtype=Int64)]
    of_pushes = FeatureView(name="of_pushes", entities=[carrier], schema=X, source=pushed)
    of_kafka = FeatureView(name="of_kafka", entities=[carrier], schema=X, source=foreign)
    labels = LabelView(
        name="labels", entities=[carrier], schema=[*X, Field(name="by", dtype=String)], source=pushed,
        labeler_field="by",
    )
    both = FeatureService(name="both", features=[of_pushes, of_kafka])
    labelled = FeatureService(name="labelled", features=[airlines, labels])
"""


def test_views_of_push_sources_and_kafka_sources_are_served_from_their_tables(
    repo: Path, append: Append
) -> None:
    append(OTHERS)
    parts = compile_features(repo)
    assert {view.name: view.table for view in parts.batch_views} == {
        "airlines": "airlines_table",
        "of_kafka": "table",
        "of_pushes": "table",
    }
    assert [service.name for service in parts.services] == ["both", "delays"]


def test_what_does_not_run_is_left_out_with_its_reason(repo: Path, append: Append) -> None:
    append(OTHERS)
    reasons = {reason.name: reason.problem for reason in compile_features(repo).left_out}
    assert reasons.keys() == {"Kafka source 'foreign'", "label view 'labels'", "feature service 'labelled'"}
    assert reasons["Kafka source 'foreign'"].startswith("no stream feature view reads it, and ")
    assert reasons["label view 'labels'"] == "label views are Feast's alone"
    assert reasons["feature service 'labelled'"].startswith(
        "it reads label view 'labels', which does not run"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ttl=timedelta(0),", "ttl=timedelta(days=-1),", "ttl is -1 day"),
        ("ttl=timedelta(0),", "ttl=timedelta(microseconds=5),", "ttl is 0:00:00.000005"),
        *(
            (
                'Field(name="alliance", dtype=Bool)',
                f'Field(name="alliance", dtype={dtype})'.replace("t.", "__import__('feast').types."),
                f"'alliance' has type {shown}, and Feast {version('feast')} {said}",
            )
            for dtype, shown, said in UNWRITABLE
        ),
    ],
)
def test_a_batch_view_that_feast_takes_and_cannot_be_served_does_not_refuse_the_project(
    repo: Path, replace: Replace, old: str, new: str, said: str
) -> None:
    replace(old, new)
    parts = compile_features(repo)
    view, service = parts.left_out
    assert (view.name, service.name) == ("feature view 'airlines'", "feature service 'delays'")
    assert said in view.problem
    assert [view.name for view in parts.stream_views] == ["carrier_delays"]


def test_views_that_give_one_join_key_two_types_are_not_served_together(repo: Path, append: Append) -> None:
    append("""
        coded = Entity(name="coded", join_keys=["carrier"], value_type=ValueType.INT64)
        numbered = FeatureView(
            name="numbered", entities=[coded], source=airlines.batch_source,
            schema=[Field(name="fleet", dtype=Int32)],
        )
    """)
    reason = objection(repo)
    assert reason.name == "feature view 'numbered'"
    assert reason.problem.startswith("join key 'carrier' is Int64, but String in ")
    assert [view.name for view in compile_features(repo).batch_views] == ["airlines"]


@pytest.mark.parametrize("dtype", ["t.Map", "t.Struct({'a': t.Int64})", "t.ZonedTimestamp", "t.Set(t.Int64)"])
@pytest.mark.parametrize("where", ["request", "schema"])
def test_a_function_of_types_that_are_not_computed_is_left_out(
    repo: Path, append: Append, dtype: str, where: str
) -> None:
    types = {"request": "t.Int64", "schema": "t.Int64", where: dtype}
    append(f"""
        from feast import RequestSource, types as t
        from feast.on_demand_feature_view import on_demand_feature_view

        asked = RequestSource(name="asked", schema=[Field(name="r", dtype={types["request"]})])

        @on_demand_feature_view(
            sources=[airlines, asked], schema=[Field(name="o", dtype={types["schema"]})], mode="python"
        )
        def computed(inputs):
            return {{"o": inputs["r"]}}
    """)
    if (dtype, where) == ("t.Set(t.Int64)", "request"):
        assert compile_features(repo).left_out == ()
        return
    assert objection(repo).name.startswith("on demand feature view 'computed'")


def test_every_error_is_told_at_once_and_none_that_follows_from_another(
    repo: Path, replace: Replace, append: Append
) -> None:
    replace('function="mean"', 'function="maen"')
    replace("ttl=timedelta(0),", "ttl=timedelta(0), tags={'headrace.quanta': 'seats=1'},")
    append("third = FeatureService(name='third', features=['carrier_delay:x'])\n")
    error = refusal(repo)
    assert isinstance(error, DefinitionErrors)
    assert [each.name for each in error.errors] == [
        "stream feature view 'carrier_delays', feature 'mean_1h'",
        "feature view 'airlines'",
        "feature service 'third'",
    ]
    text = (repo / "features.py").read_text().splitlines()
    starts = ("carrier_delays = Stream", "airlines = Feature", "third = Feature")
    assert [text[each.line - 1][: len(start)] for each, start in zip(error.errors, starts, strict=True)] == [
        *starts
    ]
    assert str(error).startswith(
        f"3 definitions cannot be used:\n  features.py:{error.errors[0].line}: stream feature view"
    )


def test_names_that_are_equal_but_for_case_are_refused_with_both_files(repo: Path, append: Append) -> None:
    append(
        """
        twin = FeatureView(
            name="Airlines", entities=[carrier], schema=airlines.schema, source=airlines.batch_source
        )
        """
    )
    error = str(refusal(repo))
    assert re.match(r"features.py:\d+: feature view '", error)
    said = r"' in features.py:\d+ has this name but for case, which Feast tells no views apart by. Rename"
    assert re.search(said, error)


def test_two_sources_of_one_name_that_differ_are_refused(repo: Path, append: Append) -> None:
    append('other = FileSource(name="airlines_table", path="data/b.parquet", timestamp_field="at")\n')
    error = refusal(repo)
    assert "data source 'airlines_table'" in str(error)
    assert re.search(r"there is another of this name in features.py:\d+, which differs. Rename", str(error))
