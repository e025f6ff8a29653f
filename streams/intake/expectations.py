"""What fields and features are expected to be: checked on whole ranges, counted, and refused where asked.

Whether a record fails depends on the record alone, and counts on the prefix of the partition alone.
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
CHECKED = "checked"  # how many records the counts are of
_NEWS_S = 60.0


class Expectations:
    """Checks the columns of ranges, and counts what fails.

    Parameters
    ----------
    specs
        One per field.

    Attributes
    ----------
    counts
        ``checked``, and per rule, such as ``amount min=0``, how many records failed it.
    """

    def __init__(self, specs: Sequence[ExpectationSpec]) -> None:
        self._specs = tuple(specs)
        self.counts: Counter[str] = Counter()

    @property
    def fields(self) -> list[str]:
        return [spec.field for spec in self._specs]

    def check(self, columns: Mapping[str, Column], judged: NDArray[np.bool_]) -> dict[int, str]:
        """Count what fails among the judged rows.

        Parameters
        ----------
        columns
            Field name to values and validity, each of shape (n,).
        judged
            Shape (n,): False for rows that are no records of the schema, and for time marks.

        Returns
        -------
        dict
            Row to reason, for the records that are to be refused.
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
    """Each rule with the rows that fail it. A null fails no rule but that on nulls; NaN counts as null."""
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
    """Checks the features of views as their rows are written, and counts what fails.

    A key's row is written as often as it changes, so these counts are of a process and of rows, not of a log.

    Parameters
    ----------
    plan
        The views, and what is expected of their features.
    """

    def __init__(self, plan: Plan) -> None:
        views: tuple[StreamViewSpec | BatchViewSpec, ...] = (*plan.stream_views, *plan.batch_views)
        self._numbers = {v.name: {f.name: n for n, f in enumerate(v.features)} for v in views}
        self._of_views = {each.view: Expectations(each.features) for each in plan.expectations}
        self.alerts = {e.view: Alerts(f"view {e.view}", e.features) for e in plan.expectations}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """View to its counts, as those of `Expectations`."""
        return {view: dict(known.counts) for view, known in self._of_views.items()}

    def check(self, view: str, features: Sequence[tuple[Any, NDArray[np.bool_]]]) -> None:
        """Count what fails among rows of a view: values and validity per feature, in the plan's order."""
        if (known := self._of_views.get(view)) is not None and len(features):
            numbers = self._numbers[view]
            chosen = {name: features[numbers[name]] for name in known.fields}
            columns = {name: Column(np.asarray(values), valid) for name, (values, valid) in chosen.items()}
            known.check(columns, np.ones(len(features[0][1]), np.bool_))

    def tell(self, now_s: float) -> None:
        """Write to the log what has failed; see `Alerts`."""
        for view, counts in self.counts.items():
            self.alerts[view].look(now_s, counts, None)


class Alerts:
    """Tells in the log what has failed since it was told last, at most once a minute.

    Parameters
    ----------
    where
        Of what: a partition of a topic, or a view.
    specs
        What is expected; a share of nulls is told when it is exceeded.
    """

    def __init__(self, where: str, specs: Sequence[ExpectationSpec]) -> None:
        self._where = where
        self._fresh_ms = min((s.fresh_ms for s in specs if s.fresh_ms is not None), default=None)
        self._shares = {f"{s.field} nulls={s.null_share:g}": s.null_share for s in specs if s.null_share}
        self._told: Counter[str] = Counter()
        self._told_s = -_NEWS_S

    def look(self, now_s: float, counts: Mapping[str, int], age_ms: int | None) -> list[str]:
        """What to tell; also written to the log, as warnings.

        Parameters
        ----------
        now_s
            A monotonic clock.
        counts
            Those of `Expectations`.
        age_ms
            Wall clock minus the event time of the newest record; None before the first.
        """
        if now_s - self._told_s < _NEWS_S:
            return []
        fresh = Counter(counts) - self._told
        checked = fresh.pop(CHECKED, 0)
        told = [
            f"{self._where}: {count:,} of {checked:,} fail {rule}"
            for rule, count in sorted(fresh.items())
            if count > self._shares.get(rule, 0.0) * checked
        ]
        if self._fresh_ms is not None and age_ms is not None and age_ms > self._fresh_ms:
            told.append(f"{self._where}: the newest event is {age_ms / 1000:,.0f} s old")
        if checked or told:
            self._told, self._told_s = Counter(counts), now_s
        for line in told:
            _log.warning("expectations: %s", line)
        return told
