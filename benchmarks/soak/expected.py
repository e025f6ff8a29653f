"""What features, examples and counts must be at the end of a soak, from what was sent."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import redis

from benchmarks.soak.load import Orders, Questions
from benchmarks.soak.project import HOP_MS, WINDOW_MS, SoakProject
from headrace import FeatureClient
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import read_log
from headrace.streams.progress import counts_key

_ROUTER, _VIEW = "sent_back", "customer_orders"


def problems(project: SoakProject, orders: Orders, questions: Questions) -> Iterator[str]:
    """Say what is not as it must be."""
    yield from _wrong_features(project, orders)
    yield from _wrong_counts(project, orders)
    yield from _wrong_examples(project, questions)


def _wrong_features(project: SoakProject, orders: Orders) -> Iterator[str]:
    """Count and sum of every customer, at the clock of the customer's partition."""
    partitions, clocks = project.settings.event_partitions, dict[int, int]()
    where = {customer: partition_for(customer.encode(), partitions) for customer, _, _ in orders.sent}
    for customer, event_ms, _ in orders.sent:
        clocks[where[customer]] = max(clocks.get(where[customer], 0), event_ms)
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for customer, event_ms, cents in orders.sent:
        if event_ms >= (clocks[where[customer]] - WINDOW_MS) // HOP_MS * HOP_MS:
            totals[customer][0] += 1
            totals[customer][1] += cents
    names = sorted(where)
    with FeatureClient.connect(project.settings.redis, project.settings.project_name) as client:
        features = [f"{_VIEW}:orders_1h", f"{_VIEW}:spent_1h"]
        columns = client.get_online_features(features, {"customer": names}).columns
    found = zip(columns[f"{_VIEW}__orders_1h"], columns[f"{_VIEW}__spent_1h"], strict=True)
    wrong = {
        name: (count, spent, totals[name])
        for name, (count, spent) in zip(names, found, strict=True)
        if (count or 0, round((spent or 0) * 100)) != tuple(totals[name])
    }
    if wrong:
        first = next(iter(wrong.items()))
        yield f"features of {len(wrong)} of {len(names)} customers are wrong, such as {first}"
    print(f"features of {len(names):,} customers after {len(orders.sent):,} orders: {len(wrong)} wrong")


def _wrong_counts(project: SoakProject, orders: Orders) -> Iterator[str]:
    counts = _counts(project, "intake|")
    if counts["applied"] != len(orders.sent) or sum(counts.values()) != len(orders.sent):
        yield f"{len(orders.sent)} orders were sent, and counted were {dict(counts)}"


def _wrong_examples(project: SoakProject, questions: Questions) -> Iterator[str]:
    """Each label that was sent is in one example of its prediction; nothing else is an example."""
    topic = project.plan.topics.router(_ROUTER).examples
    examples = [json.loads(m.value()) for m in read_log(project.settings.kafka_access, topic, 0) if m.value()]
    found = Counter((one["prediction"]["prediction_id"], int(one["label"])) for one in examples)
    wrong = found - Counter(questions.labels.items()), Counter(questions.labels.items()) - found
    counts = _counts(project, "join|")
    if any(wrong):
        yield f"{len(wrong[0])} examples should not be, {len(wrong[1])} are missing; {dict(counts)}"
    if counts["examples"] != len(examples):
        yield f"{len(examples)} examples, and counted were {dict(counts)}"
    print(f"{questions.asked:,} answers, {len(questions.labels):,} labels, {len(examples):,} examples")


def _counts(project: SoakProject, kind: str) -> Counter[str]:
    stored: Any = redis.Redis.from_url(project.settings.redis, decode_responses=True).hgetall(
        counts_key(project.plan.project)
    )
    total: Counter[str] = Counter()
    for name, value in stored.items():
        if name.startswith(kind):
            total.update(json.loads(value))
    return total
