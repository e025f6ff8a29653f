"""Metrics of a process for Prometheus, read from its health."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.streams.intake.expectations import CHECKED
from headrace.streams.runtime.health import PartitionHealth, ProcessHealth, Sample
from headrace.streams.runtime.watchdog import Watchdog

_PLACE = ["topic", "partition"]


class ProcessMetrics(Collector):
    """Collects metrics as of the moment they are asked for.

    Parameters
    ----------
    watchdog
        Has the health of the process, and the ends of its topics.
    """

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog

    def collect(self) -> Iterator[Metric]:
        health = self._watchdog.health()
        yield from self._of_process(health)
        yield from _families(health.samples)
        yield self._records(health)
        yield self._unread(health)
        yield from self._expectations(health)
        ranges = CounterMetricFamily("headrace_ranges", "Ranges processed", labels=_PLACE)
        gauges = {
            "position": GaugeMetricFamily("headrace_position", "Next offset to process", labels=_PLACE),
            "lag": GaugeMetricFamily("headrace_lag", "Records not processed yet", labels=_PLACE),
            "freshness": GaugeMetricFamily(
                "headrace_freshness_seconds", "Wall clock minus the event time reached", labels=_PLACE
            ),
            "restored": GaugeMetricFamily(
                "headrace_restored_ratio", "Share of the changelog that is read", labels=_PLACE
            ),
            "keys": GaugeMetricFamily("headrace_keys", "Keys held", labels=_PLACE),
            "unfit": GaugeMetricFamily(
                "headrace_unfit_sums", "Sums that do not fit the type of their feature", labels=_PLACE
            ),
        }
        for partition in health.partitions:
            place = _place(partition)
            ranges.add_metric(place, partition.ranges)
            for name, value in self._values(partition):
                gauges[name].add_metric(place, value)
        yield ranges
        yield from gauges.values()

    def _of_process(self, health: ProcessHealth) -> Iterator[Metric]:
        plan = GaugeMetricFamily("headrace_plan", "Hash of the plan of the process", labels=["plan"])
        plan.add_metric([health.plan.plan], 1)
        yield plan
        yield GaugeMetricFamily(
            "headrace_plan_replaced",
            "Whether another plan is in force",
            value=float(health.plan.replaced_by is not None),
        )
        yield GaugeMetricFamily(
            "headrace_checkpoint_age_seconds",
            "Since a checkpoint ended",
            value=health.checkpoint_age_s,
        )
        waiting = GaugeMetricFamily(
            "headrace_waiting", "Whether it is away and waited for", labels=["service"]
        )
        for service in ("redis", "schema registry"):
            waiting.add_metric([service], float(health.waiting_for == service))
        yield waiting

    def _records(self, health: ProcessHealth) -> Metric:
        records = CounterMetricFamily(
            "headrace_records", "What became of the records of a partition", labels=[*_PLACE, "fate"]
        )
        for partition in health.partitions:
            for fate, count in partition.counts.items():
                records.add_metric([*_place(partition), fate], count)
        return records

    def _unread(self, health: ProcessHealth) -> Metric:
        records = GaugeMetricFamily(
            "headrace_unread_records",
            "Records of a partition that this process has and does not know how to process",
            labels=_PLACE,
        )
        for topic, partition in health.unread:
            records.add_metric([topic, str(partition)], self._watchdog.ends.get((topic, partition), 0))
        return records

    def _expectations(self, health: ProcessHealth) -> Iterator[Metric]:
        checked = CounterMetricFamily("headrace_checked", "Records checked for expectations", labels=_PLACE)
        failed = CounterMetricFamily(
            "headrace_unexpected", "Records that fail an expectation", labels=[*_PLACE, "expectation"]
        )
        for partition in health.partitions:
            place = _place(partition)
            for rule, count in partition.expectations.items():
                if rule == CHECKED:
                    checked.add_metric(place, count)
                else:
                    failed.add_metric([*place, rule], count)
        yield from (checked, failed)
        yield from self._rows(health)

    def _rows(self, health: ProcessHealth) -> Iterator[Metric]:
        checked = CounterMetricFamily("headrace_checked_rows", "Rows checked as written", labels=["view"])
        failed = CounterMetricFamily(
            "headrace_unexpected_rows", "Rows that fail an expectation", labels=["view", "expectation"]
        )
        for view, counts in health.rows.items():
            for rule, count in counts.items():
                if rule == CHECKED:
                    checked.add_metric([view], count)
                else:
                    failed.add_metric([view, rule], count)
        yield from (checked, failed)

    def _values(self, partition: PartitionHealth) -> Iterator[tuple[str, float]]:
        yield "restored", partition.restoring.share if partition.position is None else 1.0
        if partition.keys is not None:
            yield "keys", partition.keys
        if partition.overflowing_sums is not None:
            yield "unfit", partition.overflowing_sums
        if partition.position is not None:
            yield "position", partition.position
            if (end := self._watchdog.ends.get(partition.where)) is not None:
                yield "lag", max(0, end - partition.position)
        if partition.clock_ms is not None:
            yield "freshness", time.time() - partition.clock_ms / 1000


def _place(partition: PartitionHealth) -> list[str]:
    """Values of the labels ``topic`` and ``partition``."""
    return [partition.topic, str(partition.partition)]


def _families(samples: Iterable[Sample]) -> Iterable[Metric]:
    """Samples of one name together, as Prometheus wants them."""
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for sample in samples:
        if sample.name not in families:
            family = CounterMetricFamily if sample.grows else GaugeMetricFamily
            families[sample.name] = family(
                f"headrace_{sample.name}", sample.meaning, labels=list(sample.labels)
            )
        families[sample.name].add_metric(list(sample.labels.values()), sample.value)
    return families.values()
