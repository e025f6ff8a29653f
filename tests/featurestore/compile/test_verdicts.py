"""Every object of a repository has one verdict, made of what the compilation found."""

from __future__ import annotations

from pathlib import Path

from headrace.featurestore.compile.features import compile_features, survey_features
from headrace.featurestore.compile.verdicts import ORDER, Verdict, verdicts
from tests.support.edits import Append, Replace, refusal

OTHERS = """
    from feast import LabelView, PushSource

    table = FileSource(name="table", path="data/t.parquet", timestamp_field="at")
    pushed = PushSource(name="pushed", batch_source=table)
    X = [Field(name="x", dtype=Int64)]
    of_pushes = FeatureView(
        name="of_pushes", entities=[carrier], schema=X, source=pushed, ttl=timedelta(hours=36)
    )
    labels = LabelView(
        name="labels", entities=[carrier], schema=[*X, Field(name="by", dtype=String)], source=pushed,
        labeler_field="by",
    )
    offline = FeatureView(name="offline", entities=[carrier], schema=X, source=table, online=False)
    labelled = FeatureService(name="labelled", features=[airlines, labels])
"""


def by_name(told: tuple[Verdict, ...]) -> dict[str, Verdict]:
    return {f"{verdict.kind} {verdict.name}": verdict for verdict in told}


def test_every_object_is_told_once(repo: Path, append: Append) -> None:
    append(OTHERS)
    parts = survey_features(repo)
    told = by_name(verdicts(parts))
    contents = parts.repository.contents
    named = {f"{type(item).__name__} {item.name}" for kind in ORDER for item in getattr(contents, kind)}
    assert told.keys() == named - {"Entity __dummy"}
    assert {verdict.file for verdict in told.values()} == {
        "features.py",
        "",
    }  # a source within a view has none


def test_what_is_left_out_cannot_run_and_the_rest_does(repo: Path, append: Append) -> None:
    append(OTHERS)
    parts = compile_features(repo)
    told = by_name(verdicts(parts))
    cannot = {name: verdict.why for name, verdict in told.items() if verdict.outcome == "cannot"}
    assert cannot == {
        "FeatureView offline": ("it has online=False: Feast alone reads it, for training. Set online=True",),
        "LabelView labels": ("label views are Feast's alone. Read it with Feast",),
        "FeatureService labelled": (
            "it reads label view 'labels', which does not run: label views are Feast's alone. "
            "Read it with Feast",
        ),
    }
    assert not any(verdict.refused for verdict in told.values())
    assert len(cannot) == len(parts.left_out)
    assert told["FeatureView of_pushes"].why == (
        "a row older than its ttl (1 day, 12:00:00) is not served; Feast serves it online",
    )
    assert told["FeatureView airlines"].outcome == "runs"


def test_what_is_refused_is_told_beside_the_others(repo: Path, replace: Replace, append: Append) -> None:
    append(OTHERS)
    replace('function="mean"', 'function="maen"')
    replace('headrace.schema_id": "7"', 'headrace.schema_ids": "7"')
    told = by_name(verdicts(survey_features(repo)))
    refused = {name for name, verdict in told.items() if verdict.refused}
    assert refused == {"KafkaSource departures"}
    assert told["StreamFeatureView carrier_delays"].outcome == "cannot"  # it reads the source
    assert told["FeatureService delays"].outcome == "cannot"
    assert told["FeatureView of_pushes"].outcome == "runs with a difference"
    assert "headrace.schema_ids" in str(refusal(repo))
    replace('headrace.schema_ids": "7"', 'headrace.schema_id": "7"')
    part = by_name(verdicts(survey_features(repo)))["StreamFeatureView carrier_delays"]
    assert part.refused
    assert part.why[0].startswith("feature 'mean_1h': ")


def test_two_of_one_name_cannot_both(repo: Path, append: Append) -> None:
    append('twin = FeatureService(name="delays", features=[airlines[["fleet"]]])\n')
    told = verdicts(survey_features(repo))
    services = [verdict for verdict in told if verdict.kind == "FeatureService"]
    assert [(verdict.name, verdict.refused) for verdict in services] == [("delays", True)]


def test_an_error_of_no_object_is_a_verdict_of_its_own(repo: Path) -> None:
    from headrace.featurestore.compile.verdicts import tell
    from headrace.schemas.errors import DefinitionError

    error = DefinitionError("schemas/a.avsc", "writer schema 'a'", "it is empty", "Write one")
    assert list(tell([], [error], {})) == [
        Verdict("writer schema", "a", "schemas/a.avsc", "cannot", ("it is empty. Write one",), True)
    ]
