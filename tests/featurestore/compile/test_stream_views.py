"""Stream views: keys, ttl, source; and what cannot be executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.feature_specs import FieldSpec
from tests.support.edits import Append, Replace, objection, refusal


def test_a_stream_view_takes_keys_ttl_and_source(repo: Path) -> None:
    (view,) = compile_features(repo).stream_views
    assert (view.name, view.source) == ("carrier_delays", "departures")
    assert view.join_keys == (FieldSpec(name="carrier", dtype="String"),)
    assert view.ttl_ms == 24 * 3_600_000
    assert view.udf is None


@pytest.mark.parametrize(
    ("tiling", "hop_ms"), [("", 300_000), (", tiling_hop_size=timedelta(minutes=15)", 900_000)]
)
def test_windows_without_a_hop_of_their_own_have_that_of_feasts_tiles(
    repo: Path, replace: Replace, tiling: str, hop_ms: int
) -> None:
    replace("ttl=timedelta(days=1)", f"enable_tiling=True{tiling}")
    replace(
        """            time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5),
""",
        "            time_window=timedelta(hours=1),\n",
    )
    (view,) = compile_features(repo).stream_views
    hops = {aggregation.feature: aggregation.hop_ms for aggregation in view.aggregations}
    assert hops == {"n_1h": hop_ms, "mean_1h": 900_000, "seats_max_1d": hop_ms}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'source=departures,\n    timestamp_field="departed_at"',
            'source=departures,\n    timestamp_field="left_at"',
            "Use that of its source, 'departed_at'",
        ),
        ("ttl=timedelta(days=1)", "ttl=timedelta(days=-1)", "ttl is -1 day"),
        ('"headrace.quantum"', '"headrace.quanta"', "Did you mean 'headrace.quantum'?"),
        (
            "ttl=timedelta(days=1)",
            "tiling_hop_size=timedelta(minutes=5)",
            "its tiling_hop_size is 0:05:00, which has no effect without enable_tiling. Write",
        ),
    ],
)
def test_a_view_that_cannot_be_executed_is_refused(
    repo: Path, replace: Replace, old: str, new: str, said: str
) -> None:
    replace(old, new)
    error = refusal(repo)
    assert said in str(error)
    assert error.name == "stream feature view 'carrier_delays'"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "source=departures,\n    timestamp",
            "source=departures,\n    online=False,\n    timestamp",
            "online=False",
        ),
        (
            "aggregations=[",
            "aggregations=[] and [",
            "fields cannot be passed through (column 'n_1h' is not",
        ),
        (
            'name="carrier_delays",\n    entities=[carrier]',
            'name="carrier_delays",\n    entities=[]',
            "it has no entities",
        ),
    ],
)
def test_a_view_that_feast_alone_has_a_use_for_is_left_out_with_what_reads_it(
    repo: Path, replace: Replace, old: str, new: str, said: str
) -> None:
    replace(old, new)
    view, service = compile_features(repo).left_out
    assert said in str(view)
    assert view.name == "stream feature view 'carrier_delays'"
    assert service.name == "feature service 'delays'"


def test_a_view_of_another_kind_of_source_is_left_out(repo: Path, append: Append, replace: Replace) -> None:
    replace("FileSource, KafkaSource", "FileSource, KafkaSource, PushSource")
    replace("source=departures,\n    timestamp", "source=pushed,\n    timestamp")
    replace(
        "carrier_delays = ",
        'pushed = PushSource(name="pushed", batch_source=departures.batch_source)\n\ncarrier_delays = ',
    )
    assert "its source 'pushed' is a PushSource. Use a KafkaSource" in str(objection(repo))
