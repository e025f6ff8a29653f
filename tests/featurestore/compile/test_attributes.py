"""Each argument of Feast's constructors is obeyed, told, or has no effect in Feast; none is passed over."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
import feast
from feast import data_source
from feast.aggregation import Aggregation

from headrace.featurestore.compile.attributes import ATTRIBUTES, attributes_told
from headrace.featurestore.compile.features import compile_features
from tests.support.edits import Append, Replace

KINDS: dict[str, Any] = {
    name: getattr(feast, name)
    for name in (
        *("Entity", "Field", "FeatureView", "BatchFeatureView", "StreamFeatureView", "OnDemandFeatureView"),
        *("FeatureService", "KafkaSource", "PushSource", "RequestSource"),
    )
} | {"Aggregation": Aggregation}
# The view is left out, a batch source is read by Feast, and these are registered as they are.
FEASTS_ALONE = {"LabelView", "Project", "Permission", "KinesisSource"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_argument_of_the_installed_feast_is_in_the_table_once(kind: str) -> None:
    of = ATTRIBUTES[kind]
    listed = [*of.obeyed, *of.told, *of.without_effect]
    assert sorted(listed) == sorted({*inspect.signature(KINDS[kind].__init__).parameters} - {"self"})


def test_every_class_that_a_repository_can_define_is_in_the_table() -> None:
    """What `feast apply` collects of a file; a new one fails this test."""
    from feast import repo_operations

    collected = set(repo_operations.RepoContents.__annotations__)
    assert collected == {
        *("projects", "data_sources", "entities", "feature_views", "on_demand_feature_views"),
        *("stream_feature_views", "label_views", "feature_services", "permissions"),
    }
    sources = {
        name
        for name, each in vars(data_source).items()
        if inspect.isclass(each) and issubclass(each, data_source.DataSource)
    }
    assert sources - {"DataSource"} == {"KafkaSource", "RequestSource", "PushSource", "KinesisSource"}
    assert ATTRIBUTES.keys() == KINDS.keys()
    assert not FEASTS_ALONE & ATTRIBUTES.keys()


VIEW = (
    "view = FeatureView(name='view', entities=[carrier], schema=[Field(name='x', dtype=Int64)], "
    "source=FileSource(name='t', path='t.parquet', timestamp_field='at'), {})\n"
)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("offline=True", "offline=True is not obeyed. Feast's engine would also write"),
        ("org='sales'", "org='sales' is not obeyed. Feast's catalogue"),
        ("enable_validation=True", "enable_validation=True is not obeyed. Feast's engine would check"),
    ],
)
def test_plan_tells_arguments_of_a_view(repo: Path, append: Append, argument: str, said: str) -> None:
    append(VIEW.format(argument))
    parts = compile_features(repo)
    (line,) = attributes_told(parts.repository, parts.left_out)
    text = (repo / "features.py").read_text().splitlines()
    number = 1 + next(n for n, each in enumerate(text) if each.startswith("view ="))
    assert line.startswith(f"features.py:{number}: feature view 'view': {said}")


def test_plan_tells_arguments_of_stream_views_their_fields_and_sources(repo: Path, replace: Replace) -> None:
    replace("    ttl=timedelta(days=1),\n", "    ttl=timedelta(days=1), stream_engine={'type': 'x'},\n")
    replace('    topic="flights', '    created_timestamp_column="c", bootstrap_servers="k:1", topic="flights')
    replace('Field(name="fleet", dtype=Int32)', 'Field(name="fleet", dtype=Int32, vector_index=True)')
    parts = compile_features(repo)
    told = [line.partition(": ")[2].partition(". ")[0] for line in attributes_told(parts.repository, ())]
    assert told == [
        "Kafka source 'departures': kafka_bootstrap_servers='k:1' is not obeyed",
        "Kafka source 'departures': created_timestamp_column='c' is not obeyed",
        "stream feature view 'carrier_delays': stream_engine is not obeyed",
        "feature view 'airlines', feature 'fleet': vector_index=True is not obeyed",
    ]
    here = [*attributes_told(parts.repository, (), same=("k:1",))]
    assert len(here) == 3
    assert len(parts.differences) == 3  # and `check` has them: of the source, and of both views


def test_nothing_is_told_of_what_is_left_out_nor_of_what_has_no_effect_in_feast(
    repo: Path, append: Append
) -> None:
    append(VIEW.format("online=False, offline=True"))
    append(VIEW.replace("'view'", "'sunk'").format("sink_source=airlines.batch_source, mode='python'"))
    parts = compile_features(repo)
    assert [*attributes_told(parts.repository, parts.left_out)] == []
    (sunk,) = [view for view in parts.repository.contents.feature_views if view.name == "sunk"]
    assert not hasattr(sunk, "sink_source")  # Feast forgets it where the view has a table
