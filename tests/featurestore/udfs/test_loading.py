"""Udfs of a plan, loaded from the repository in the process that runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.udfs.loading import load_udfs
from headrace.schemas.avro import Column
from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from tests.support.edits import GOOD_UDF, Replace, WriteUdf


def columns(n: int) -> dict[str, Column]:
    def column(values: Any) -> Column:
        return Column(np.array(values), np.ones(n, np.bool_))

    return {
        "carrier": column([b"UA"] * n), "origin": column([b"EWR"] * n), "flight": column(range(n)),
        "dep_delay": column([30.0] * n), "seats": column(list(range(n))), "note": column([b"n"] * n),
        "departed_at": column([1_700_000_000_000] * n),
    }  # fmt: skip


def test_a_process_loads_it_from_the_repository_and_runs_it(repo: Path, write_udf: WriteUdf) -> None:
    write_udf(GOOD_UDF)
    plan = compile_features(repo).plan()
    made = load_udfs(repo, Plan.from_json(plan.to_json()))["carrier_delays"].apply(
        np.arange(7, 12), columns(5)
    )
    assert made.rows.tolist() == [2, 3, 4]
    assert made.columns["hours"].values.tolist() == [0.5, 0.5, 0.5]
    assert made.columns["seats"].values.tolist() == [2, 3, 4]


def test_a_repository_other_than_the_one_applied_is_refused(
    repo: Path, write_udf: WriteUdf, replace: Replace
) -> None:
    write_udf(GOOD_UDF)
    plan = compile_features(repo).plan()
    replace("LEAST = 1", "LEAST = 3")
    with pytest.raises(PlanError, match="'carrier_delays' is not the one of the plan"):
        load_udfs(repo, plan)


def test_what_it_does_to_its_frame_does_not_reach_the_records(repo: Path, write_udf: WriteUdf) -> None:
    write_udf(' df["hours"] = 1.0\n df.loc[:, "seats"] = -1\n df.iloc[:, 3] = 0.0\n return df\n')
    given = columns(5)
    load_udfs(repo, compile_features(repo).plan())["carrier_delays"].apply(np.arange(5), given)
    assert given["seats"].values.tolist() == [0, 1, 2, 3, 4]


def test_a_worker_without_udfs_imports_neither_pandas_nor_feast() -> None:
    program = """
import sys
import headrace.deploy.processes, headrace.deploy.udfs, headrace.featurestore.online.writer
import headrace.streams.worker.rebuild, headrace.streams.worker.process
import headrace.featurestore.offline.feature_log
from tests.support.purchases import purchases_plan
from headrace.streams.log.records import LogRecords
from headrace.streams.state.source_partition import SourcePartition
from tests.support.purchase_record import record

plan = purchases_plan()
assert headrace.deploy.udfs.transforms_of(plan, plan.stream_views, None) == {}
SourcePartition(plan, plan.sources[0], 0, {}).process(LogRecords.of([record(0, 10)]))
print(sorted({"pandas", "feast"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
