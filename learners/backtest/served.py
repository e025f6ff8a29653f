"""What was served, spooled to disk: the closings of a router, and the prefix that each answer stood on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.learners.backtest.past_log import PastLog
from headrace.learners.models.versions import PublishedVersion
from headrace.schemas.domains import Score
from headrace.schemas.records import Closing, Label

UNTRAINED = "untrained"
_UNKNOWN = -1


@dataclass(frozen=True)
class Served:
    """The closings of a router, in the order of the log, partition by partition.

    Attributes
    ----------
    file
        Holds them as they were logged, one behind the other.
    bounds
        Of shape (n + 1,), int64: where each begins in the file.
    times
        Of shape (n,), int64: event times of the predictions, epoch milliseconds.
    labels
        n; None where there is none.
    scores
        By arm of that time, n; None where it did not answer.
    prefixes
        By arm of that time, of shape (n,), int64: the prefix of the examples that the version which answered
        had learned; -1 where that version is not in the models topic.
    epochs
        Of shape (n,), int64: number of the epoch in force.
    marks
        Of shape (m, 3), int64: partition, offset and time of each time mark.
    places
        Of shape (n, 2), int64: partition and offset.
    features
        Names of the features that were ever served.
    """

    file: Path
    bounds: NDArray[np.int64]
    times: NDArray[np.int64]
    labels: Sequence[Label | None]
    scores: Mapping[str, Sequence[Score | None]]
    prefixes: Mapping[str, NDArray[np.int64]]
    epochs: NDArray[np.int64]
    marks: NDArray[np.int64]
    places: NDArray[np.int64]
    features: frozenset[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_label(self) -> NDArray[np.bool_]:
        """Of shape (n,): whether there is a label."""
        return np.array([label is not None for label in self.labels], dtype=np.bool_)

    def read(self, order: Sequence[int] | NDArray[np.int64] | None = None) -> Iterator[Closing]:
        """Yield closings in an order of their numbers; None: in that of the log."""
        content = np.memmap(self.file, mode="r") if len(self) else np.zeros(0, np.uint8)
        for number in range(len(self)) if order is None else order:
            raw = content[self.bounds[number] : self.bounds[number + 1]].tobytes()
            yield Closing.model_validate_json(raw)


def spool(log: PastLog, versions: Sequence[PublishedVersion], folder: Path) -> Served:
    """Read the closings of a log, and write them to a file in a folder."""
    prefix_of = {(one.name, one.version): one.offset for one in versions}
    file = folder / f"{log.router}.closings"
    columns = _Columns(prefix_of)
    with file.open("wb") as out:
        for found in log.closings():
            if found.closing is None:
                columns.marks.append((found.partition, found.offset, found.time_ms))
                continue
            out.write(found.raw)
            columns.add(found.closing, (found.partition, found.offset), len(found.raw))
    return columns.served(file)


class _Columns:
    def __init__(self, prefix_of: Mapping[tuple[str, str], int]) -> None:
        self._prefix_of = prefix_of
        self.marks: list[tuple[int, int, int]] = []
        self._sizes: list[int] = []
        self._times: list[int] = []
        self._labels: list[Label | None] = []
        self._epochs: list[int] = []
        self._places: list[tuple[int, int]] = []
        self._scores: dict[str, list[Score | None]] = {}
        self._prefixes: dict[str, list[int]] = {}
        self._features: set[str] = set()

    def add(self, closing: Closing, place: tuple[int, int], size: int) -> None:
        prediction, number = closing.prediction, len(self._sizes)
        self._labels.append(None if closing.status == "censored" else closing.label)
        self._sizes.append(size)
        self._times.append(prediction.ts_ms)
        self._epochs.append(prediction.epoch)
        self._places.append(place)
        self._features.update(prediction.features)
        for arm, score in prediction.scores.items():
            version = prediction.versions.get(arm, "")
            known = 0 if version == UNTRAINED else self._prefix_of.get((arm, version), _UNKNOWN)
            scores = self._scores.setdefault(arm, [None] * number)
            prefixes = self._prefixes.setdefault(arm, [_UNKNOWN] * number)
            scores.append(score)
            prefixes.append(known)
        for arm in self._scores.keys() - prediction.scores.keys():
            self._scores[arm].append(None)
            self._prefixes[arm].append(_UNKNOWN)

    def served(self, file: Path) -> Served:
        return Served(
            file=file,
            bounds=np.concatenate(([0], np.cumsum(self._sizes, dtype=np.int64))).astype(np.int64),
            times=np.array(self._times, dtype=np.int64),
            labels=self._labels,
            scores=self._scores,
            prefixes={arm: np.array(found, dtype=np.int64) for arm, found in self._prefixes.items()},
            epochs=np.array(self._epochs, dtype=np.int64),
            marks=np.array(self.marks, dtype=np.int64).reshape(-1, 3),
            places=np.array(self._places, dtype=np.int64).reshape(-1, 2),
            features=frozenset(self._features),
        )
