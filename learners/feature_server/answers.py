"""Responses of the SDK as answers of Feast's feature server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.online.view_replies import StoredColumns
from headrace.learners.feature_server.json_values import json_writer
from headrace.schemas.feature_types import ValueType

_NO_TIME = "1970-01-01T00:00:00Z"  # of what has no row: join keys, on-demand features, what was not found


class AnswerWriter:
    """Writes answers for features that were asked for.

    Parameters
    ----------
    keys, features
        Types of join keys and of features, by their names in the response.
    views
        The name of the view of each stored feature, by the feature's name in the response.
    places
        See `headrace.featurestore.online.retrieval.Retrieval`.
    """

    def __init__(
        self,
        keys: Mapping[str, ValueType],
        features: Mapping[str, ValueType],
        views: Mapping[str, str],
        places: Mapping[str, tuple[int, int]] | None,
    ) -> None:
        self._keys = {name: json_writer(dtype) for name, dtype in keys.items()}
        self._features = {name: json_writer(dtype) for name, dtype in features.items()}
        self._views = views
        self._places = [(self._features[name], *place) for name, place in (places or {}).items()]
        self._metadata = _written({"feature_names": [*keys, *features]})

    def write(self, response: FeatureResponse, times: Mapping[str, Sequence[int | None]]) -> bytes:
        """Return the body of an answer.

        Parameters
        ----------
        response
            Of the same features each time.
        times
            Event times of the rows of each view, epoch milliseconds.
        """
        rows = len(next(iter({**response.entities, **response.columns}.values()), []))
        shared = _Shared(rows)
        times_of = {view: _times(of_rows) for view, of_rows in times.items()}
        vectors = self._key_vectors(response.entities, shared)
        for name, values in response.columns.items():
            statuses = response.statuses[name]
            told = shared.present if statuses.count(FieldStatus.PRESENT) == rows else statuses
            of_view = times_of.get(self._views.get(name, ""), shared.no_times)
            vectors.append(_Vector(self._features[name](values), told, of_view))
        return _encode(_Answer(self._metadata, vectors))

    def write_stored(
        self,
        entities: Mapping[str, Sequence[Any]],
        stored: Sequence[tuple[StoredColumns, Sequence[int | None]]],
    ) -> bytes:
        """Return the same body, of what `Request.stored` returns."""
        shared = _Shared(len(stored[0][1]))
        times = [_times(of_rows) for _, of_rows in stored]
        vectors = self._key_vectors(entities, shared)
        for writer, view, position in self._places:
            columns, told = stored[view][0], shared.present
            if columns.is_whole:
                values = columns.values[position :: columns.width]
            else:
                values, told = columns.column(position)
            vectors.append(_Vector(writer(values), told, times[view]))
        return _encode(_Answer(self._metadata, vectors))

    def _key_vectors(self, entities: Mapping[str, Sequence[Any]], shared: _Shared) -> list[_Vector]:
        return [
            _Vector(write(entities[name]), shared.present, shared.no_times)
            for name, write in self._keys.items()
        ]


class _Shared:
    """What is the same in many vectors, and written once: the statuses where all is there, and no times."""

    def __init__(self, rows: int) -> None:
        self.present: Any = _written([FieldStatus.PRESENT] * rows)
        self.no_times = _written([_NO_TIME] * rows)


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


def _times(of_rows: Sequence[int | None]) -> msgspec.Raw:
    return _written([_time_or_none(at_ms) for at_ms in of_rows])


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
