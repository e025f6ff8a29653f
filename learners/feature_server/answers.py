"""Responses of the SDK as answers of Feast's feature server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.response import FeatureResponse
from headrace.learners.feature_server.json_values import json_writer
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
        self._writers = {name: json_writer(dtype) for name, dtype in dtypes.items()}
        self._views = views
        self._metadata: msgspec.Raw | None = None

    def write(self, response: FeatureResponse, times: Mapping[str, Sequence[int | None]]) -> bytes:
        """Return the body of an answer.

        Parameters
        ----------
        response
            Of the same features each time.
        times
            Event times of the rows of each view, epoch milliseconds.
        """
        if self._metadata is None:
            self._metadata = _written({"feature_names": [*response.entities, *response.columns]})
        # What is the same in many vectors is written once: where all is there, and the times of a view.
        rows = len(next(iter({**response.entities, **response.columns}.values()), []))
        present, no_times = _written([FieldStatus.PRESENT] * rows), _written([_NO_TIME] * rows)
        times_of = {view: _written([_time_or_none(at) for at in of_rows]) for view, of_rows in times.items()}
        writers, views = self._writers, self._views
        vectors = [
            _Vector(writers[name](keys), present, no_times) for name, keys in response.entities.items()
        ]
        for name, values in response.columns.items():
            statuses = response.statuses[name]
            told = present if statuses.count(FieldStatus.PRESENT) == rows else statuses
            of_view = times_of.get(views.get(name, ""), no_times)
            vectors.append(_Vector(writers[name](values), told, of_view))
        return _encode(_Answer(self._metadata, vectors))


class _Vector(msgspec.Struct, gc=False):
    values: Sequence[Any]
    statuses: Any
    event_timestamps: msgspec.Raw


class _Answer(msgspec.Struct, gc=False):
    metadata: msgspec.Raw
    results: list[_Vector]


def _written(part: Any) -> msgspec.Raw:
    """Write a part, to be put in as it is."""
    return msgspec.Raw(_encode(part))


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
