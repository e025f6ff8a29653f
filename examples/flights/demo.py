"""The whole loop on real flights: `python -m examples.flights.demo` (see `--help`).

Exits with 1 when any part failed or the counts do not add up.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from confluent_kafka import Consumer, TopicPartition

from examples.flights import data
from examples.flights.comparison import compare, score_arms
from examples.flights.counts import Counts, discrepancies, read_counts
from examples.flights.display import Race, make_display
from examples.flights.replay import Replay, Tally
from examples.flights.service import PredictionService
from examples.flights.steps import Period
from examples.flights.times import HOUR_MS, ORIGIN_ZONE
from headrace import HeadraceError
from headrace.deploy.commands.audit import audit
from headrace.deploy.commands.audit import render as audit_table
from headrace.deploy.commands.audit import summary as audit_summary
from headrace.deploy.stack import LocalStack
from headrace.schemas.errors import SettingsError
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.connections.redis import redis_client
from headrace.streams.join.example_archive import read_examples
from headrace.streams.progress import ProgressStore

if TYPE_CHECKING:
    from examples.flights.report import Run

REPOSITORY = data.HERE / "feature_repo"
OUT = data.HERE / "out"
AUDITED = 500  # predictions


class ExampleReader:
    """Reads the examples topic, for the display."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._consumer = Consumer(
            {**client_config(kafka), "group.id": "flights-demo", "enable.auto.commit": False}
        )
        self._consumer.assign([TopicPartition(topic, 0, 0)])

    def feed(self, race: Race) -> None:
        """Hand over the examples that have come since the last call."""
        while messages := self._consumer.consume(1000, 0.001):
            for message in messages:
                if message.error() is None and message.value() is not None:
                    example = json.loads(message.value())
                    race.learn(example["label"], example["prediction"]["scores"])

    def close(self) -> None:
        self._consumer.close()


def replay(stack: LocalStack, period: Period) -> tuple[Tally, Counts, list[str]]:
    """Replay a period against a running stack.

    Returns
    -------
    tally
        Records and requests that were sent.
    counts
        Counts of the stages.
    problems
        Counts that do not add up.
    """
    router = stack.plan.routers[0]
    client = redis_client(stack.redis_url)
    service = PredictionService(stack.serve_url)
    reader = ExampleReader(stack.kafka, stack.plan.topics.router(router.name).examples)
    race, requested_ms = Race(router.arms), period.requests["ts_ms"]
    display = make_display(int(requested_ms.min()), int(requested_ms.max()) + 3 * router.wait_ms)

    def show(tally: Tally) -> None:
        reader.feed(race)
        display.update(tally, race)

    def on_hour(tally: Tally) -> None:
        stack.check()
        if display.is_due(tally):
            show(tally)

    try:
        tally = Replay(
            stack.plan, stack.kafka, ProgressStore(client, stack.plan), service, period, on_hour
        ).run()
        show(tally)
    finally:
        display.close()
        reader.close()
        service.close()
    counts = read_counts(client, stack.plan.project)
    problems = discrepancies(counts, tally.produced, tally.marks, tally.predictions, len(period.arrivals))
    return tally, counts, problems


def main() -> int:
    arguments = _parse()
    dataset = data.load()
    until_ms = _until_ms(arguments)
    period = Period.of(dataset.tables, until_ms)
    started = time.monotonic()
    stack = LocalStack(
        REPOSITORY,
        kafka=arguments.kafka,
        partitions=1,  # of arrivals above all: labels are learned in the order of that topic
        publish_every_s=0,  # on the hour of event time alone, however fast the machine is
        fetch_wait_ms=3,  # a quarter of an hour waits for several fetches of the built-in broker
        checkpoint_ms=5_000,  # progress does not wait for it, and a day of event time takes as long
    )
    try:
        with stack:
            _refuse_used_topics(stack)
            tally, counts, problems = replay(stack, period)
            # While the broker lives: its events are in memory.
            audited = audit(stack.kafka, stack.plan, stack.plan.routers[0].name, AUDITED)
    except (HeadraceError, RuntimeError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    examples = read_examples(stack.settings.examples_dir / stack.plan.routers[0].name).to_pandas()
    if len(examples) != len(period.arrivals):
        problems.append(
            f"examples in the archive: {len(period.arrivals):,} expected, {len(examples):,} found"
        )
    if not audited.ok:
        problems.append(audit_table(audited))
    from examples.flights.report import Run, render  # drawing takes a while to import

    title = f"Flights from New York, {len(period.requests):,} of 2013"
    run = Run(title, seconds, tally.events, tally.predictions, dataset.quality, counts, tuple(problems))
    OUT.mkdir(exist_ok=True)
    page = OUT / "report.html"
    page.write_text(render(examples, run), encoding="utf-8")
    _print_summary(examples, run, page)
    print(audit_summary(audited))
    return 1 if problems else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.flights.demo", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the whole year")
    parser.add_argument("--months", type=int, default=3, help="so many months from January (default: 3)")
    parser.add_argument("--days", type=int, help="so many days instead")
    parser.add_argument("--kafka", default="mock", help="address of a Kafka (default: a broker of its own)")
    return parser.parse_args()


def _until_ms(arguments: argparse.Namespace) -> int:
    start = pd.Timestamp("2013-01-01", tz=ORIGIN_ZONE)
    if arguments.days is not None:
        end = start + pd.DateOffset(days=arguments.days)
    else:
        end = start + pd.DateOffset(months=12 if arguments.full else arguments.months)
    return int(end.timestamp() * 1000) - HOUR_MS  # asked one hour before departure


def _refuse_used_topics(stack: LocalStack) -> None:
    used = [
        topic
        for (topic, _), end in end_offsets(stack.kafka, [s.topic for s in stack.plan.sources]).items()
        if end
    ]
    if used:
        raise SettingsError(
            f"topic '{used[0]}' has records of an earlier run; delete it or use another Kafka"
        )


def _print_summary(examples: pd.DataFrame, run: Run, page: Path) -> None:
    print(f"\n{run.title}: {run.events:,} events, {run.predictions:,} predictions, {len(examples):,} labels")
    print(f"{run.seconds:.0f} s in all, {run.events / run.seconds:,.0f} events/s\n")
    compared = compare(examples)
    for heading, results in (("whole run", score_arms(examples)), ("October to December", compared)):
        if results:
            print(f"{heading:34}{'log loss':>10}{'ROC AUC':>10}{'calibration':>13}{'traffic':>9}")
        for result in results:
            share = f"{result.traffic:9.1%}" if result.traffic == result.traffic else ""
            print(
                f"  {result.name:32}{result.log_loss:10.4f}{result.auc:10.4f}"
                f"{result.calibration_error:13.4f}{share}"
            )
    print(f"\nreport: {page}")
    for problem in run.problems:
        print(f"does not add up: {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
