"""One loop through the project, while `headrace up` runs: events, features, a prediction, its label, a model.

Run it where HEADRACE_KAFKA and HEADRACE_REDIS are set to what `headrace up` says.
"""

import json
import os
import random
import time
import urllib.request
from pathlib import Path
from typing import Any

from headrace import FeatureClient
from headrace.deploy.settings import load_settings
from headrace.streams.connections.kafka import Kafka
from headrace.streams.event_producer import EventProducer

SERVE = os.environ.get("HEADRACE_SERVE", "http://127.0.0.1:8080")
CUSTOMERS = ["ada", "bob", "eve"]


def send_orders(client: FeatureClient, kafka: Kafka, count: int = 300) -> None:
    """Orders of the last half hour; returns once their features can be read."""
    now_ms = time.time_ns() // 1_000_000
    times = sorted(now_ms - random.randrange(30 * 60_000) for _ in range(count))
    with EventProducer.from_plan(kafka, client.plan, "orders") as producer:
        for event_ms in times:
            amount = round(random.lognormvariate(3, 1), 2)
            producer.send({"customer": random.choice(CUSTOMERS), "amount": amount, "event_ms": event_ms})
        prefix = producer.flush()
    client.wait(client.plan.source("orders").topic, prefix)


def ask(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The router's answer to a request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SERVE + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def learn_one(client: FeatureClient, order: int) -> dict[str, Any]:
    """A prediction and its label; returns once every model has learned it."""
    customer, amount = random.choice(CUSTOMERS), round(random.lognormvariate(3, 1), 2)
    question = {"entities": {"customer": customer}, "request": {"order": order, "amount": amount}}
    answer = ask("/v1/predict", question)
    label = {"prediction_id": answer["prediction_id"], "label": int(amount > 40)}
    for log in (answer["log"], ask("/v1/outcomes", label)["log"]):
        client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", timeout_s=60)
    return answer


def main() -> None:
    with FeatureClient.connect(os.environ["HEADRACE_REDIS"], "my_project") as client:
        send_orders(client, load_settings(Path(__file__).parent).kafka_access)
        features = client.get_online_features("customer_features", {"customer": CUSTOMERS})
        for row in features.rows():
            print("features:", row)
        for order in range(10):
            answer = learn_one(client, order)
            print(f"prediction: {answer['score']:.3f} by {answer['arm']}@{answer['version']}, label learned")
    for arm in ask("/v1/arms")["routers"][0]["arms"]:
        print("model:", arm)


if __name__ == "__main__":
    main()
