"""State of one partition of a log: a pure state machine over its records, with a changelog.

It takes ranges of records and says what follows from them (`Effects`); it can be written to a changelog and
taken up again at any point. It knows neither Kafka nor Redis, so tests drive it record by record.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import HeadraceError, StateError
from headrace.schemas.event_decoder import EventDecoder
from headrace.schemas.feature_specs import StreamViewSpec
from headrace.schemas.marks import MOST_PARTITIONS
from headrace.streams.columnar.batch import Batch
from headrace.streams.log.records import LogRecords
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.group_changelog import LAYOUT
from headrace.streams.state.view_group import ViewGroup

MAX_PARTITIONS = MOST_PARTITIONS  # ties between partitions are broken by (offset, partition)

POSITION = Encoding(
    version=2,  # with it came another layout of the keys, which tell it themselves
    older=(UNVERSIONED, 1),
    remedy=LAYOUT.remedy,
)

_PORTION_BYTES = 4 << 20  # of entries that a restore takes up at once
_ENTRY_BYTES = 200  # counted for the key and the objects of an entry
TopicIds = tuple[str, str]  # of a topic and of its changelog, as Kafka gives them
Entry = tuple[bytes, bytes | None]  # key and value of a changelog record; None deletes
RawEntry = tuple[bytes | None, bytes | None]  # as it is read: of another program it may have no key


@dataclass(frozen=True)
class Effects:
    """What follows from a range: rows to write, records turned away and sums that do not fit, one block per
    shard."""

    next_offset: int
    rows: list[OnlineRows] = field(default_factory=list)
    rejected: list[DeadLetter] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)


def groups_of(views: Iterable[StreamViewSpec]) -> list[list[StreamViewSpec]]:
    """Views that share their join keys and their records, and with them their state. One with a udf has
    records of its own."""
    found: dict[tuple[str, ...], list[StreamViewSpec]] = {}
    for view in views:
        own = [] if view.udf is None else ["", view.name]
        found.setdefault((*(key.name for key in view.join_keys), *own), []).append(view)
    return list(found.values())


class PartitionState(ABC):
    """Groups of views, a position in a log, and their changelog.

    Parameters
    ----------
    definition
        Fingerprint of the views; entries of a changelog with another one are passed over.
    topic, partition
        The log.
    groups
        Empty states of the groups of views.

    Attributes
    ----------
    next_offset
        Position: next offset to process.
    topic_ids
        Ids of the topic and the changelog that the position is of; None where they are not known.
    state_id
        Hash of definition and topic ids, 8 bytes: rows with the same one can be compared by their position.
    position_key
        Key of the position in the changelog.
    clock_ms
        Clock of the windows, epoch milliseconds; None before the first record.
    last_record_ms
        Wall clock when a record was processed last, epoch milliseconds; None before the first.
    """

    def __init__(self, definition: str, topic: str, partition: int, groups: Sequence[ViewGroup]) -> None:
        self.definition, self.topic, self.partition = definition, topic, partition
        self.groups = {group.name: group for group in groups}
        self.next_offset = 0
        self.bind(None)
        self.clock_ms: int | None = None
        self._position_clock_ms: int | None = None  # of the position that is in the changelog
        self.last_record_ms: int | None = None
        self._prefix = f"k|{definition}|".encode()
        self.position_key = f"p|{definition}".encode()

    @abstractmethod
    def process(self, records: LogRecords) -> Effects:
        """Apply a range; records below the position have been processed before, and are skipped."""

    def bind(self, topic_ids: TopicIds | None) -> None:
        """Say which topic and changelog the position is of."""
        self.topic_ids = topic_ids
        identity = "|".join((self.definition, *(topic_ids or ())))
        self.state_id = hashlib.sha256(identity.encode()).digest()[:8]

    def skip_lost(self, begin: int) -> None:
        """Go on at an offset, because the log has lost the records before it."""
        self.next_offset = begin

    def received(self, now_ms: int) -> None:
        """Note the wall clock at which a range was processed."""
        self.last_record_ms = now_ms

    def pass_time(self, silence_ms: int) -> Effects | None:
        """Empty windows as time passes without a record; None when nothing is to be done."""
        return None

    @property
    @abstractmethod
    def member(self) -> str:
        """Member of the feature stage that this state is, in its progress."""

    @property
    @abstractmethod
    def source_offsets(self) -> Mapping[int, int]:
        """Partition of the event topic to the offset there up to which records have been applied."""

    @property
    def decoder(self) -> EventDecoder | None:
        """Decoder of the records; None where they have no schema."""
        return None

    @property
    def newest_event_ms(self) -> int | None:
        """Greatest event time of a record or mark, epoch milliseconds; None before the first."""
        return self.clock_ms

    @property
    def record_counts(self) -> Mapping[str, int]:
        """What became of the records of an event topic: applied, late, dead, marks."""
        return {}

    @property
    def expectation_counts(self) -> Mapping[str, int]:
        """How many records were ``checked``, and how many failed each rule."""
        return {}

    @property
    def key_count(self) -> int:
        """How many keys are held, each group of views on its own."""
        return sum(len(group.keys) for group in self.groups.values())

    @property
    def overflowing_sums(self) -> int | None:
        """How many sums do not fit the type of their feature as of the position; None without any sums."""
        counts = [group.overflowing.count for group in self.groups.values() if group.overflowing]
        return sum(counts) if counts else None

    def snapshot(self) -> list[Entry]:
        """Return changelog records: keys touched since the last snapshot, position, then freed keys."""
        entries: list[Entry] = []
        gone: list[Entry] = []
        for name, group in self.groups.items():
            prefix = self._prefix + name.encode() + b"|"
            entries += [(prefix + key, state) for key, state in group.snapshot(self._position_clock_ms)]
            gone += [(prefix + key, None) for key in group.take_freed()]
        entries.append((self.position_key, self._encoded_position()))
        self._position_clock_ms = self._position()["clock_ms"]
        return entries + gone

    def restore(self, entries: Iterable[RawEntry]) -> None:
        """Restore from a changelog, read from its beginning to its end; other definitions are passed over.

        Entries go into the state as they come, in portions: of a key only the last is ever held.

        Raises
        ------
        StateError
            When the position has a version that is not read, or the state of a key another size.
        """
        self._restored(self._load(entries))

    def catch_up(self, entries: Iterable[RawEntry]) -> None:
        """Apply what came into the changelog since `restore`. Freed keys stay, and are found empty."""
        kept = (entry for entry in entries if entry[1] is not None)
        if (first := next(kept, None)) is not None:
            self._restored(self._load(chain([first], kept)) or self._encoded_position())

    def _load(self, entries: Iterable[RawEntry]) -> bytes | None:
        """Load the keys of a changelog; returns its last position."""
        raw = None
        prefixes = {name: self._prefix + name.encode() + b"|" for name in self.groups}
        for portion in _portions(entries):
            raw = portion.pop(self.position_key, raw)
            for name, group in self.groups.items():
                prefix = prefixes[name]
                start = len(prefix)
                group.load({k[start:]: v for k, v in portion.items() if k.startswith(prefix)})
        return raw

    def _restored(self, raw: bytes | None) -> None:
        with POSITION.reading(f"the position of {self.topic}[{self.partition}] in its changelog"):
            clock_ms = None if raw is None else self._take_position(self._decoded_position(raw))
        self._position_clock_ms = clock_ms
        with self._computing():
            for group in self.groups.values():
                group.restored(clock_ms)

    def emit_all(self) -> Iterator[OnlineRows]:
        """Return rows of every key, also of those that are ahead of the position."""
        with self._computing():
            for group in self.groups.values():
                for rows in group.emit_all(self.partition, self.next_offset):
                    yield replace(rows, state=self.state_id)

    @abstractmethod
    def _position(self) -> dict[str, Any]: ...

    @abstractmethod
    def _take_position(self, position: dict[str, Any]) -> int | None:
        """Set the position; returns the clock of the groups."""

    def _encoded_position(self) -> bytes:
        known = {} if self.topic_ids is None else {"topics": self.topic_ids}
        return json.dumps({**POSITION.stamp(), **self._position(), **known}).encode()

    def _decoded_position(self, value: bytes) -> dict[str, Any]:
        raw: dict[str, Any] = json.loads(value)
        POSITION.check(raw, f"the position of {self.topic}[{self.partition}] in its changelog")
        if "topics" in raw:
            topic, changelog = raw["topics"]
            self.bind((topic, changelog))
        return raw

    def _apply(self, batches: dict[str, Batch], clock_ms: int | None) -> None:
        with self._computing():
            for name, group in self.groups.items():
                if clock_ms is not None:
                    group.advance(clock_ms)
                if name in batches:
                    group.add(batches[name])

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Name what fails. Records were judged before, so it is the state that is not as it was written."""
        try:
            yield
        except (HeadraceError, MemoryError):
            raise
        except Exception as error:
            raise StateError(
                f"the state of {self.topic}[{self.partition}] at offset {self.next_offset} cannot be "
                f"computed with: {type(error).__name__}: {error}. See who may write to its changelog; "
                "`headrace reset` begins the state of a source anew. If it comes again, report it"
            ) from error

    def _emit(self) -> list[OnlineRows]:
        with self._computing():
            found = [group.emit(self.partition, self.next_offset) for group in self.groups.values()]
        return [replace(rows, state=self.state_id) for part in found for rows in part]

    def _overflow_dead_letters(self) -> list[DeadLetter]:
        """Dead letters of the sums that have begun not to fit."""
        sums = [one for group in self.groups.values() for one in group.overflowing.take_new()]
        return [one.dead_letter(self.topic, self.partition, self.next_offset - 1) for one in sums]


def _portions(entries: Iterable[RawEntry]) -> Iterator[dict[bytes, bytes | None]]:
    """Entries in portions of bounded size, of each key the last."""
    portion: dict[bytes, bytes | None] = {}
    size = 0
    for key, value in entries:
        if key is None:  # another program's
            continue
        portion[key] = value
        size += _ENTRY_BYTES + len(value or b"")
        if size > _PORTION_BYTES:
            yield portion
            portion, size = {}, 0
    yield portion
