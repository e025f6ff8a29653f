"""Decoding of ranges in which a record may make the decoder itself fail."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from headrace.schemas.avro import Column, Decoded
from headrace.schemas.avro.columns import Kind, blank
from headrace.schemas.event_decoder import EventDecoder

_log = logging.getLogger(__name__)


class BisectingDecoder:
    """Decodes ranges; when the decoder fails on one, halves it down to the record that it fails on.

    Parameters
    ----------
    decoder
        Decodes the events of a topic.
    fields
        Names of the columns it makes.
    topic
        Name of the topic, for the log.
    """

    def __init__(self, decoder: EventDecoder, fields: Sequence[str], topic: str) -> None:
        self._decoder, self._topic = decoder, topic
        self._kinds: dict[str, Kind] = {name: decoder.field_kind(name) for name in fields}

    def decode(self, payloads: Sequence[bytes | None]) -> Decoded:
        """Decode n payloads. A record that the decoder fails on is an error like any other."""
        try:
            return self._decoder.decode(payloads)
        except Exception as error:
            if len(payloads) == 1:
                return self._poison(f"{type(error).__name__}: {error}")
            _log.exception("decoding %d records of %s failed: bisecting", len(payloads), self._topic)
        middle = len(payloads) // 2
        return _concatenate(self.decode(payloads[:middle]), self.decode(payloads[middle:]), middle)

    def _poison(self, reason: str) -> Decoded:
        columns = {name: Column(blank(kind, 1), np.zeros(1, np.bool_)) for name, kind in self._kinds.items()}
        return Decoded(columns, {0: reason})


def _concatenate(left: Decoded, right: Decoded, middle: int) -> Decoded:
    """Join two halves; the second begins at row `middle`."""
    columns = {
        name: Column(
            np.concatenate([left.columns[name].values, right.columns[name].values]),
            np.concatenate([left.columns[name].valid, right.columns[name].valid]),
        )
        for name in left.columns
    }
    return Decoded(columns, {**left.errors, **{middle + row: why for row, why in right.errors.items()}})
