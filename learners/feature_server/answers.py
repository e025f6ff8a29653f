"""Responses of the SDK as answers of Feast's feature server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.response import FeatureResponse
from headrace.learners.feature_server.json_values import json_values
from headrace.schemas.feature_types import ValueType

_NO_TIME = "1970-01-01T00:00:00Z"  # of what has no row: join keys, on-demand features, what was not found


class AnswerWriter:
    """Writes answers for features that were asked for.

    Parameters
    ----------
    dtypes
        Types of join keys and features, by their names in the response.
    views
        The name of the view of each stored feature, by the feature's name in the response.
    """

    def __init__(self, dtypes: Mapping[str, ValueType], views: Mapping[str, str]) -> None:
        self._dtypes, self._views = dtypes, views

    def write(self, response: FeatureResponse, times: Mapping[str, Sequence[int | None]]) -> bytes:
        """Return the body of an answer.

        Parameters
        ----------
        times
            Event times of the rows of each view, epoch milliseconds.
        """
        vectors = []
        for name, keys in response.entities.items():
            vectors.append(self._vector(name, keys, [FieldStatus.PRESENT] * len(keys), [None] * len(keys)))
        for name, values in response.columns.items():
            at = times.get(self._views.get(name, ""), [None] * len(values))
            vectors.append(self._vector(name, values, response.statuses[name], at))
        names = [*response.entities, *response.columns]
        return _json({"metadata": {"feature_names": names}, "results": vectors})

    def _vector(
        self, name: str, values: Sequence[Any], statuses: Sequence[FieldStatus], times: Sequence[int | None]
    ) -> dict[str, list[Any]]:
        return {
            "values": json_values(self._dtypes[name], values),
            "statuses": list(statuses),
            "event_timestamps": [_NO_TIME if at is None else time_text(at) for at in times],
        }


def time_text(at_ms: int) -> str:
    """Write a time as protobuf's mapping to JSON has it.

    >>> time_text(1_700_000_000_000), time_text(1_700_000_000_250)
    ('2023-11-14T22:13:20Z', '2023-11-14T22:13:20.250Z')
    """
    seconds, ms = divmod(at_ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms:03}Z" if ms else f"{text}Z"


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
