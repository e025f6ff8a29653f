"""Pushed rows, checked as a whole before any is written, as commands for Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.online.chunks import RowChunk
from headrace.featurestore.online.pushed_rows import PushedRows, read_rows
from headrace.featurestore.online.pushed_values import Misfit, read_event_times, read_values
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.featurestore.redis_codec.row_encoder import Column
from headrace.schemas.errors import RequestError
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.name_hint import name_hint
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec
from headrace.streams.connections.redis_updates import timed_row_script

_CHUNK_ROWS = 2000  # are sent at once
_LISTED = 20  # names of columns


@dataclass(frozen=True)
class Places:
    """Where rows stand in a request, for errors.

    Attributes
    ----------
    name
        What the rows are called.
    by_column
        Whether a value is named by column and row, in place of row and column.

    Examples
    --------
    >>> Places().value(3, "price"), Places("df", by_column=True).value(3, "price")
    ('rows[3].price', 'df.price[3]')
    """

    name: str = "rows"
    by_column: bool = False

    def value(self, row: int, column: str) -> str:
        """Return the path of a value."""
        return f"{self.name}.{column}[{row}]" if self.by_column else f"{self.name}[{row}].{column}"


_ROWS = Places()


@dataclass(frozen=True)
class PushedChunk:
    """Some rows of a view, whose command Redis has or is given.

    Attributes
    ----------
    view
        Its name.
    known, whole
        The rows by the digest of their script, and with its text, which a Redis without it needs once.
    """

    view: str
    known: RowChunk
    whole: RowChunk


class PushChecks:
    """Checks rows that are pushed to the sources of a plan.

    Parameters
    ----------
    plan
        The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        script = timed_row_script(plan.online.key_ttl_s, replaces_equal=False)
        self._verbs = (
            (b"EVALSHA", script.digest.encode(), b"1"),
            (b"EVAL", script.text.encode(), b"1"),
        )
        self._encoders: dict[str, tuple[ViewEncoder, ...]] = {}

    def check(self, source: PushSourceSpec, rows: Any, places: Places = _ROWS) -> list[PushedChunk]:
        """Return rows as they are written: of each entity one, the one that Feast would leave.

        Parameters
        ----------
        source
            Whose columns and views.
        rows
            A list of dicts, a dict of columns, or a frame of pandas or pyarrow.
        places
            Where the rows stand, for errors.

        Raises
        ------
        RequestError
            When `rows` is no table, lacks a column, or has a value that cannot be used.
        """
        columns = _Columns(source, read_rows(rows, places.name), places)
        views = self._plan.views_on(source)
        fields = [field for view in views for field in (*view.join_keys, *view.features)]
        columns.require([*(field.name for field in fields), source.time_name])
        times_us = columns.times_us()
        chunks = [self._rows(view, columns, times_us) for view in views]
        return [chunk for of_view in chunks for chunk in self._chunks(*of_view)]

    def _rows(
        self, view: BatchViewSpec, columns: _Columns, times_us: NDArray[np.int64]
    ) -> tuple[str, RowChunk]:
        keys = [columns.keys(key) for key in view.join_keys]
        features = [columns.values(feature) for feature in view.features]
        encoder = self._encoders_of(view)[0]
        rows = RowChunk(encoder, keys, features, times_us, None)
        return view.name, rows.take(_lasting(encoder.redis_keys(keys, len(rows)), times_us.tolist()))

    def _chunks(self, view: str, rows: RowChunk) -> Iterator[PushedChunk]:
        whole = self._encoders[view][1]
        for chunk in rows.split(_CHUNK_ROWS):
            yield PushedChunk(view, chunk, replace(chunk, encoder=whole))

    def _encoders_of(self, view: BatchViewSpec) -> tuple[ViewEncoder, ...]:
        if view.name not in self._encoders:
            version = self._plan.online.key_version
            self._encoders[view.name] = tuple(
                ViewEncoder(self._plan.project, view, verb, version) for verb in self._verbs
            )
        return self._encoders[view.name]


class _Columns:
    """Columns of pushed rows by the names of the views, each read once."""

    def __init__(self, source: PushSourceSpec, rows: PushedRows, places: Places) -> None:
        self._source, self._rows, self._places = source, rows, places
        self._pushed_as = source.renamed(rows.names)
        self._read: dict[FieldSpec, Column] = {}

    def require(self, names: Sequence[str]) -> None:
        """Refuse rows without a column, or with two of one name."""
        if not self._rows.count:
            return
        missing = [name for name in dict.fromkeys(names) if name not in self._pushed_as]
        if missing:
            listed = ", ".join(f"'{name}'" for name in missing[:_LISTED]) + ", …" * (len(missing) > _LISTED)
            problem = f"push source '{self._source.name}' takes {listed}: the rows have no such column"
            hint = name_hint(missing[0], map(str, self._rows.names), "they have")
            raise RequestError(self._places.name, problem, f"Give every row its value, or null ({hint})")
        for name in names:
            if len(self._pushed_as[name]) > 1:
                columns = " and ".join(f"'{column}'" for column in self._pushed_as[name])
                raise RequestError(
                    self._places.name, f"{columns} both stand for '{name}'", "Give one of them"
                )

    def times_us(self) -> NDArray[np.int64]:
        if not self._rows.count:
            return np.zeros(0, np.int64)
        name = self._column(self._source.time_name)
        try:
            return read_event_times(self._rows.column(name))
        except Misfit as error:
            remedy = "Give every row its event time, as a datetime or as text in ISO 8601"
            raise RequestError(self._places.value(error.row, name), error.problem, remedy) from error

    def keys(self, key: FieldSpec) -> Any:
        """Values of a join key, none of them null."""
        values, valid = self.values(key)
        if not valid.all():
            where = self._places.value(int(np.argmin(valid)), self._column(key.name))
            raise RequestError(where, "it is null, and rows are found by it", "Send its value")
        return values

    def values(self, field: FieldSpec) -> Column:
        if field not in self._read:
            column = self._column(field.name)
            try:
                self._read[field] = read_values(
                    field.dtype, self._rows.column(column) if self._rows.count else []
                )
            except Misfit as error:
                where = self._places.value(error.row, column)
                raise RequestError(where, error.problem, "Send such a value, or null") from error
        return self._read[field]

    def _column(self, name: str) -> str:
        return self._pushed_as.get(name, [name])[0]


def _lasting(keys: Sequence[bytes], times_us: Sequence[int]) -> NDArray[np.int64]:
    """Return the row of each key that is there once all have been written, one after the other.

    The first of the latest time is; of times up to 1970 the last row, since Feast takes these for none.
    """
    lasting: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        there = lasting.get(key)
        if there is None or times_us[there] <= 0 or times_us[row] > times_us[there]:
            lasting[key] = row
    return np.array([*lasting.values()], np.int64)
