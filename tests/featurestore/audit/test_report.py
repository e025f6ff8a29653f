"""A report counts every value and shows the first that are wrong."""

from __future__ import annotations

import pytest

from headrace.featurestore.audit.comparison import Outcome
from headrace.featurestore.audit.report import AuditReport
from tests.support.join_builders import a_prediction


def report(*outcomes: Outcome) -> AuditReport:
    made = AuditReport()
    for number, outcome in enumerate(outcomes):
        made.add(a_prediction(f"p{number}", "k", 5), f"v__{number % 2}", outcome, number, None)
    return made


def test_no_more_than_twenty_examples_are_kept() -> None:
    made = report("equal", *["different"] * 15, *["missing"] * 10, "unchecked")
    assert [example.prediction_id for example in made.examples] == [f"p{n}" for n in range(1, 21)]
    assert [made.total(outcome) for outcome in ("equal", "different", "missing", "unchecked")] == [
        1,
        15,
        10,
        1,
    ]
    assert made.counts["v__0"] == {"equal": 1, "different": 7, "missing": 5, "unchecked": 1}


@pytest.mark.parametrize(
    ("outcomes", "ok"),
    [
        ((), False),
        (("unchecked",), False),
        (("equal",), True),
        (("equal", "unchecked"), True),
        (("equal", "different"), False),
        (("equal", "missing"), False),
    ],
)
def test_only_a_report_with_something_equal_and_nothing_wrong_is_good(
    outcomes: tuple[Outcome, ...], ok: bool
) -> None:
    assert report(*outcomes).ok == ok
