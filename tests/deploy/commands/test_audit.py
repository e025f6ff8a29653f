"""The report of an audit as `headrace audit` prints it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from headrace.deploy.commands.audit import render, summary
from headrace.featurestore.audit.report import AuditReport
from tests.support.flight_learners import flights, prediction


def report(tmp_path: Path) -> AuditReport:
    plan, _ = flights(tmp_path)
    audited = AuditReport(predictions=1_200)
    for number in range(1_200):
        audited.add(prediction(plan, number, random.Random(number)), "delays__count", "equal", 3, 3)
    audited.add(prediction(plan, 7, random.Random(7)), "delays__mean", "different", 12.5, 11.0)
    audited.add(prediction(plan, 8, random.Random(8)), "delays__mean", "missing", None, 2.0)
    audited.records["departures"] = Counter(applied=4_000, late=1, dead=2, marks=0)
    return audited


def test_every_feature_has_a_line_and_every_difference_too(tmp_path: Path) -> None:
    head, count, mean, different, missing, records, last = render(report(tmp_path)).splitlines()
    assert head.split() == ["feature", "equal", "different", "missing", "unchecked"]
    assert count.split() == ["delays__count", "1,200", "0", "0", "0"]
    assert mean.split() == ["delays__mean", "0", "1", "1", "0"]
    assert different == "different: delays__mean of prediction p7: served 12.5, recomputed 11.0"
    assert missing == "missing: delays__mean of prediction p8: served None, recomputed 2.0"
    assert records == "records of source 'departures': 4,000 applied, 1 late, 2 dead, 0 marks"
    assert last == summary(report(tmp_path))


def test_the_summary_is_one_line(tmp_path: Path) -> None:
    assert summary(report(tmp_path)) == "audit of 1,200 predictions: 1,200 equal, 1 different, 1 missing"
    assert summary(AuditReport()) == "audit of 0 predictions: 0 equal, 0 different, 0 missing"
