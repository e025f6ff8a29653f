"""Expectations of fields and features: checked on whole ranges, counted, and refused where they say so.

A record fails by itself, whatever its neighbours are; counts depend on the prefix of the partition alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import BatchViewSpec, ExpectationSpec, StreamViewSpec
from headrace.schemas.plan import Plan

_log = logging.getLogger(__name__)
CHECKED = "checked"  # the count of all records that were checked
_REPORT_EVERY_S = 60.0


class Expectations:
    """Checks the columns of ranges, and counts failures.

    Parameters
    ----------
    specs
        One per field.

    Attributes
    ----------
    counts
        ``checked``, and per rule, such as ``amount min=0``, the number of records that failed.

    Examples
    --------
    >>> amounts = Expectations([ExpectationSpec(field="amount", least=0, quarantine=True)])
    >>> column = Column(np.array([3.0, -1.0]), np.array([True, True]))
    >>> amounts.check({"amount": column}, np.array([True, True]))
    {1: 'amount = -1.0, and min=0 is expected'}
    >>> dict(amounts.counts)
    {'checked': 2, 'amount min=0': 1}
    """

    def __init__(self, specs: Sequence[ExpectationSpec]) -> None:
        self._specs = tuple(specs)
        self.counts: Counter[str] = Counter()

    @property
    def fields(self) -> list[str]:
        """Names of the fields, in the order of the specs."""
        return [spec.field for spec in self._specs]

    def check(self, columns: Mapping[str, Column], judged: NDArray[np.bool_]) -> dict[int, str]:
        """Count the failures among the judged rows.

        Parameters
        ----------
        columns
            Field name to values and validity, each of shape (n,).
        judged
            Rows to check, shape (n,): False for those that are no records of the schema, and for time marks.

        Returns
        -------
        dict
            Row to reason, of the records to refuse.
        """
        refused: dict[int, str] = {}
        self.counts[CHECKED] += int(judged.sum())
        for spec in self._specs:
            for rule, failed in _failures(spec, columns[spec.field]):
                failed &= judged
                if count := int(failed.sum()):
                    self.counts[f"{spec.field} {rule}"] += count
                    if spec.refuses(rule):
                        self._refuse(spec, rule, columns[spec.field], failed, refused)
        return refused

    def _refuse(
        self,
        spec: ExpectationSpec,
        rule: str,
        column: Column,
        failed: NDArray[np.bool_],
        refused: dict[int, str],
    ) -> None:
        for row in failed.nonzero()[0].tolist():
            value = column.values[row] if column.valid[row] else "null"
            shown = value.decode(errors="replace") if isinstance(value, bytes) else value
            refused.setdefault(row, f"{spec.field} = {shown}, and {rule} is expected")


def _failures(spec: ExpectationSpec, column: Column) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Return each rule with the rows that fail. A null fails only the rule on nulls; NaN counts as null."""
    values, valid = column.values, column.valid
    if values.dtype == np.float64:
        valid = valid & ~np.isnan(values)
    if spec.least is not None:
        yield f"min={spec.least:g}", valid & (values < spec.least)
    if spec.most is not None:
        yield f"max={spec.most:g}", valid & (values > spec.most)
    if spec.categories:
        yield f"in={'|'.join(spec.categories)}", valid & ~np.isin(values, _categories(spec, values))
    if spec.null_share is not None:
        yield f"nulls={spec.null_share:g}", ~valid


def _categories(spec: ExpectationSpec, values: NDArray[np.generic]) -> NDArray[np.generic]:
    if values.dtype.kind == "S":
        return np.array([each.encode() for each in spec.categories])
    if values.dtype == np.bool_:
        return np.array([each == "true" for each in spec.categories])
    return np.array([int(each) for each in spec.categories])


class RowExpectations:
    """Checks the features of views as their rows are written, and counts failures.

    A key's row is written as often as it changes, so these are counts of rows and of a process, not of a log.

    Parameters
    ----------
    plan
        Has the views, and the expectations of their features.

    Attributes
    ----------
    alerts
        Alerts of each view with expectations.
    """

    def __init__(self, plan: Plan) -> None:
        views: tuple[StreamViewSpec | BatchViewSpec, ...] = (*plan.stream_views, *plan.batch_views)
        self._numbers = {v.name: {f.name: n for n, f in enumerate(v.features)} for v in views}
        self._of_views = {each.view: Expectations(each.features) for each in plan.expectations}
        self.alerts = {e.view: Alerts(f"view {e.view}", e.features) for e in plan.expectations}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Counts by view, as those of `Expectations`."""
        return {view: dict(expectations.counts) for view, expectations in self._of_views.items()}

    def check(self, view: str, features: Sequence[tuple[Any, NDArray[np.bool_]]]) -> None:
        """Count the failures among rows of a view.

        Parameters
        ----------
        view
            Its name.
        features
            Values and validity of each feature, shape (n,), in the plan's order.
        """
        if (expectations := self._of_views.get(view)) is not None and len(features):
            numbers = self._numbers[view]
            chosen = {name: features[numbers[name]] for name in expectations.fields}
            columns = {name: Column(np.asarray(values), valid) for name, (values, valid) in chosen.items()}
            expectations.check(columns, np.ones(len(features[0][1]), np.bool_))

    def report(self, now_s: float) -> None:
        """Log the failures; see `Alerts`."""
        for view, counts in self.counts.items():
            self.alerts[view].report(now_s, counts, None)


class Alerts:
    """Logs the failures since the last report, at most once a minute.

    Parameters
    ----------
    where
        Begins each message: a partition of a topic, or a view.
    specs
        The expectations. A share of nulls is reported when it is exceeded.
    """

    def __init__(self, where: str, specs: Sequence[ExpectationSpec]) -> None:
        self._where = where
        self._fresh_ms = min((s.fresh_ms for s in specs if s.fresh_ms is not None), default=None)
        self._shares = {f"{s.field} nulls={s.null_share:g}": s.null_share for s in specs if s.null_share}
        self._reported: Counter[str] = Counter()
        self._reported_s = -_REPORT_EVERY_S

    def report(self, now_s: float, counts: Mapping[str, int], age_ms: int | None) -> list[str]:
        """Log what has failed, as warnings, and return the messages.

        Parameters
        ----------
        now_s
            A monotonic clock.
        counts
            Those of `Expectations`.
        age_ms
            Wall clock minus the event time of the newest record; None before the first.
        """
        if now_s - self._reported_s < _REPORT_EVERY_S:
            return []
        fresh = Counter(counts) - self._reported
        checked = fresh.pop(CHECKED, 0)
        messages = [
            f"{self._where}: {count:,} of {checked:,} fail {rule}"
            for rule, count in sorted(fresh.items())
            if count > self._shares.get(rule, 0.0) * checked
        ]
        if self._fresh_ms is not None and age_ms is not None and age_ms > self._fresh_ms:
            messages.append(f"{self._where}: the newest event is {age_ms / 1000:,.0f} s old")
        if checked or messages:
            self._reported, self._reported_s = Counter(counts), now_s
        for message in messages:
            _log.warning("expectations: %s", message)
        return messages
