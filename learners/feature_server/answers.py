"""Responses of the SDK as answers of Feast's feature server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

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
        # What is the same in many vectors is written once: where all is there, and the times of a view.
        rows = len(next(iter({**response.entities, **response.columns}.values()), []))
        present, no_times = _written([FieldStatus.PRESENT] * rows), _written([_NO_TIME] * rows)
        times_of = {view: _written([_time_or_none(at) for at in of_rows]) for view, of_rows in times.items()}
        vectors = [
            _vector(self._values(name, keys), present, no_times) for name, keys in response.entities.items()
        ]
        for name, values in response.columns.items():
            statuses = response.statuses[name]
            told = present if statuses.count(FieldStatus.PRESENT) == rows else statuses
            vectors.append(
                _vector(self._values(name, values), told, times_of.get(self._views.get(name, ""), no_times))
            )
        names = [*response.entities, *response.columns]
        return _encode({"metadata": {"feature_names": names}, "results": vectors})

    def _values(self, name: str, values: Sequence[Any]) -> list[Any]:
        return json_values(self._dtypes[name], values)


def _vector(values: Sequence[Any], statuses: Any, times: Any) -> dict[str, Any]:
    return {"values": values, "statuses": statuses, "event_timestamps": times}


def _written(values: Sequence[str]) -> msgspec.Raw:
    """Write a list, to be put in as it is."""
    return msgspec.Raw(_encode(values))


def _time_or_none(at_ms: int | None) -> str:
    return _NO_TIME if at_ms is None else time_text(at_ms)


def time_text(at_ms: int) -> str:
    """Write a time as protobuf's mapping to JSON has it.

    >>> time_text(1_700_000_000_000), time_text(1_700_000_000_250)
    ('2023-11-14T22:13:20Z', '2023-11-14T22:13:20.250Z')
    """
    seconds, ms = divmod(at_ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]  # without its zone
    return f"{text}.{ms:03}Z" if ms else f"{text}Z"


_encode = msgspec.json.Encoder().encode
