"""A client of the prediction service: batches of requests over one kept-alive connection."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

ENTITIES = ("tailnum", "origin", "dest", "carrier")
MAX_BATCH = 1000


class PredictionService:
    """Requests predictions of `headrace serve` at a base URL such as ``http://127.0.0.1:8080``."""

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout_s)

    def predict(self, flights: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer per flight, in their order.

        Raises
        ------
        RuntimeError
            When the service refuses a request, or did not log a prediction.
        """
        answers: list[dict[str, Any]] = []
        for first in range(0, len(flights), MAX_BATCH):
            requests = [request_body(flight) for flight in flights[first : first + MAX_BATCH]]
            answers += self._post("/v1/predict:batch", {"requests": requests})["predictions"]
        if lost := [answer["prediction_id"] for answer in answers if not answer["logged"]]:
            raise RuntimeError(f"{len(lost)} predictions were not logged, among them {lost[0]}")
        return answers

    def close(self) -> None:
        self._connection.close()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            status, text = self._send(path, json.dumps(body))
        except ConnectionError:  # closed by the service while idle; ids make a repetition safe
            self._connection.close()
            status, text = self._send(path, json.dumps(body))
        if status != 200:
            raise RuntimeError(f"{path} answered {status}: {text[:500].decode(errors='replace')}")
        return json.loads(text)

    def _send(self, path: str, body: str) -> tuple[int, bytes]:
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, response.read()


def request_body(flight: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a prediction request for a row of the requests table."""
    return {
        "prediction_id": flight["flight_id"],
        "ts_ms": flight["ts_ms"],
        "entities": {name: flight[name] for name in ENTITIES},
        "request": {name: value for name, value in flight.items() if name not in (*ENTITIES, "ts_ms")},
    }
