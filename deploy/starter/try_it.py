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

from headrace import EventProducer, FeatureClient, load_settings

SERVE = os.environ.get("HEADRACE_SERVE", "http://127.0.0.1:8080")
CUSTOMERS = ["ada", "bob", "eve"]


def random_amount() -> float:
    return round(random.lognormvariate(3, 1), 2)


def send_orders(client: FeatureClient, kafka: Any, count: int = 300) -> None:
    """Send orders of the last half hour, and wait until their features can be read."""
    now_ms = time.time_ns() // 1_000_000
    times = sorted(now_ms - random.randrange(30 * 60_000) for _ in range(count))
    with EventProducer.from_plan(kafka, client.plan, "orders") as producer:
        for event_ms in times:
            order = {"customer": random.choice(CUSTOMERS), "amount": random_amount(), "event_ms": event_ms}
            producer.send(order)
        prefix = producer.flush()
    client.wait(producer.topic, prefix)


def call(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a request to the router, and return its answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SERVE + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def predict_and_label(client: FeatureClient, order: int) -> dict[str, Any]:
    """Ask for a prediction, send its label, and wait until every model has learned it."""
    customer, amount = random.choice(CUSTOMERS), random_amount()
    question = {"entities": {"customer": customer}, "request": {"order": order, "amount": amount}}
    answer = call("/v1/predict", question)
    label = {"prediction_id": answer["prediction_id"], "label": int(amount > 40)}
    for log in (answer["log"], call("/v1/outcomes", label)["log"]):
        client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", timeout_s=60)
    return answer


def main() -> None:
    settings = load_settings(Path(__file__).parent)
    with FeatureClient.connect(settings.redis, settings.project_name) as client:
        send_orders(client, settings.kafka_access)
        features = client.get_online_features("customer_features", {"customer": CUSTOMERS})
        for row in features.rows():
            print("features:", row)
        for order in range(10):
            answer = predict_and_label(client, order)
            print(f"prediction: {answer['score']:.3f} by {answer['arm']}@{answer['version']}, label learned")
    for arm in call("/v1/arms")["routers"][0]["arms"]:
        print("model:", arm)


if __name__ == "__main__":
    main()
