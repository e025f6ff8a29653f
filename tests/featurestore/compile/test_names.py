"""Names that cannot be those of folders, topics and fields are told by `plan`, with the rest of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.feast_repo.config import read_config
from headrace.schemas.errors import DefinitionError
from tests.support.edits import Append, Replace, objection, refusal

BOOKS = """
booked = FeatureView(
    name={name!r},
    entities=[carrier],
    schema=[Field(name="carrier", dtype=String), Field(name={feature!r}, dtype=Int64)],
    source=FileSource(name="booked_table", path="data/airlines.parquet", timestamp_field="valid_from"),
)
"""


@pytest.mark.parametrize(
    ("name", "said"), [("../evil", "begins with '.'"), ("a/b", "has '/'"), ("x" * 201, "201 bytes, of 200")]
)
def test_a_view_whose_name_is_no_folders_is_left_out_and_the_others_are_not(
    repo: Path, append: Append, name: str, said: str
) -> None:
    append(BOOKS.format(name=name, feature="n"))
    error = objection(repo)
    assert error.name == f"feature view '{name}'"
    assert said in error.problem
    assert error.remedy == "Rename it"
    assert [view.name for view in compile_features(repo).stream_views] == ["carrier_delays"]


def test_a_service_of_such_a_name_is_left_out(repo: Path, append: Append) -> None:
    append("up = FeatureService(name='../up', features=[airlines])\n")
    assert objection(repo).name == "feature service '../up'"


def test_a_feature_whose_name_cannot_be_printed_leaves_its_view_out(repo: Path, append: Append) -> None:
    append(BOOKS.format(name="booked", feature="seats\n"))
    error = objection(repo)
    assert error.name == "feature view 'booked'"
    assert "'seats\\n' is not taken: it has characters that cannot be printed" in error.problem


def test_a_source_whose_name_is_no_topics_is_an_error(repo: Path, replace: Replace) -> None:
    replace('    name="departures",', '    name="all departures",')
    error = refusal(repo)
    assert "the name is not taken: it becomes part of the names of topics and files" in str(error)
    assert "Use letters, digits" in error.remedy


def test_a_topic_that_kafka_does_not_take_is_an_error(repo: Path, replace: Replace) -> None:
    replace('topic="flights.departures"', 'topic="../departures"')
    error = refusal(repo)
    assert "'../departures' is not taken: Kafka takes no topic of this name" in str(error)


def test_a_project_whose_name_is_too_long_is_refused(repo: Path) -> None:
    file = repo / "feature_store.yaml"
    file.write_text(file.read_text().replace("project: ", f"project: {'x' * 100}"))
    with pytest.raises(DefinitionError, match="the name is not valid"):
        read_config(repo)
